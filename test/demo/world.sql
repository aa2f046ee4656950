-- What the loads share. Names and numbers are made up, and the same at every run: what looks random is a hash of a key.
CREATE SCHEMA demo;

-- The file, as it is.
CREATE TABLE demo.complaints (
    complaint_id bigint PRIMARY KEY,
    product text NOT NULL,
    sub_product text,
    issue text,
    sub_issue text,
    state text,
    zip_code text,
    received_on date NOT NULL,
    sent_to_company_on date NOT NULL,
    company_response text NOT NULL,
    timely_response boolean NOT NULL,
    consumer_disputed boolean,
    place bigint GENERATED ALWAYS AS IDENTITY
);
CREATE TABLE demo.knowledge (
    key text PRIMARY KEY,
    language text NOT NULL,
    translation_of text,
    category text NOT NULL,
    product text,
    is_public boolean NOT NULL,
    title text NOT NULL,
    keywords text,
    body text NOT NULL
);

CREATE FUNCTION demo.draw(key text, sides int) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ('x' || left(md5(key), 7))::bit(28)::int % sides;

CREATE FUNCTION demo.pick(words text[], key text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN words[1 + demo.draw(key, cardinality(words))];

CREATE FUNCTION demo.given_name(key text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN demo.pick('{Ada,Alan,Alma,Amir,Ana,Andre,Anita,Arun,Astrid,Aylin,Bea,Ben,Bianca,Boris,Bruno,Camila,Carl,Celia,
    Chen,Chloe,Clara,Cyrus,Dana,Daniel,Daria,David,Deniz,Diego,Dora,Edith,Elena,Eli,Elsa,Emil,Emma,Erik,Esra,Esther,
    Eva,Farid,Felix,Fiona,Flora,Frank,Gary,Gina,Grace,Greta,Hana,Hans,Harold,Hector,Helen,Hiro,Hugo,Ian,Ida,Igor,Ines,
    Iris,Ivan,Jack,Jana,Javier,Jean,Joan,Jonas,Jorge,Judy,Julia,Kai,Karen,Karim,Kate,Keiko,Kofi,Lara,Laura,Lena,Leo,
    Lila,Linda,Louis,Luca,Lucia,Luis,Maja,Marco,Maria,Mark,Marta,Mei,Mia,Milan,Mona,Nadia,Nils,Nina,Noah,Nora,Olga,
    Omar,Oscar,Otto,Paula,Pedro,Petra,Priya,Quinn,Rafael,Rana,Raul,Rita,Rosa,Ruth,Sam,Sara,Selma,Simon,Sofia,Stefan,
    Susan,Tara,Theo,Tim,Tina,Tomas,Uma,Vera,Victor,Wanda,Wei,Willa,Yara,Yusuf,Zoe}'::text[], 'given ' || key);

CREATE FUNCTION demo.family_name(key text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN demo.pick('{Abbott,Acosta,Adeyemi,Ahmed,Alder,Almeida,Arden,Ashby,Baptiste,Barlow,Becker,Bello,Berg,Bianchi,
    Bishop,Blake,Bloom,Boyd,Brandt,Bright,Burke,Cabrera,Carver,Castro,Chandra,Chang,Cho,Clarke,Cohen,Cole,Costa,Crane,
    Cruz,Dahl,Dalton,Das,Delgado,Diaz,Dixon,Dogan,Drake,Duarte,Dunn,Eker,Ellis,Engel,Evans,Farrow,Ferrari,Fischer,
    Flores,Foster,Fox,Fraser,Fuchs,Garcia,Gibbs,Gomez,Grant,Gray,Greer,Haas,Hale,Hamid,Hansen,Hart,Hayes,Heller,Hill,
    Holm,Horvat,Hughes,Hunt,Ibrahim,Ito,Ivers,Jansen,Jensen,Jha,Joshi,Kaplan,Katz,Keller,Khan,Kim,King,Klein,Kowal,
    Kruger,Lake,Lang,Larsen,Lee,Lehmann,Lind,Lopez,Lowe,Lund,Mahmoud,Marsh,Martin,Mbeki,Mendes,Meyer,Miller,Moreau,
    Moreno,Morgan,Nair,Nakamura,Nash,Navarro,Nguyen,Nolan,Novak,Ochoa,Okafor,Olsen,Ortiz,Osman,Park,Patel,Pena,Pereira,
    Perry,Petrov,Pham,Pike,Popov,Price,Quist,Rahman,Ramos,Reed,Reyes,Rhodes,Rivera,Romero,Rossi,Roy,Ruiz,Sala,Sanders,
    Sato,Schmid,Shah,Sharp,Silva,Singh,Soto,Stein,Stone,Sund,Suzuki,Tanaka,Tate,Thorn,Torres,Tran,Ueda,Vance,Vargas,
    Vega,Vidal,Vogel,Wade,Walsh,Wang,Ward,Weber,West,Wolf,Wong,Wright,Yang,Yilmaz,Young,Zhang,Ziegler}'::text[],
    'family ' || key);

CREATE FUNCTION demo.progress(what text, done bigint, of_all bigint) RETURNS text LANGUAGE sql STABLE
RETURN format('  %s %s of %s', rpad(what, 34), lpad(to_char(done, 'FM999,999'), 7), to_char(of_all, 'FM999,999'));
