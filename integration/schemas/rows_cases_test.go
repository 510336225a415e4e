package schemas

const eventsOfTwo = `CREATE TABLE events (id integer NOT NULL, at date NOT NULL, kind text DEFAULT 'x', PRIMARY KEY (id, at), CONSTRAINT sane CHECK (id > 0)) PARTITION BY RANGE (at);
CREATE INDEX by_kind ON events (kind);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
`

const eventsWithoutKey = `CREATE TABLE events (id integer NOT NULL, at date NOT NULL, kind text) PARTITION BY RANGE (at); CREATE INDEX by_kind ON events (kind);
`

var rowsOfPostgres = []rowCase{
	{
		name: "a partition becomes a table of its own",
		from: eventsOfTwo + `CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); CREATE INDEX own ON events_2025 (id)`,
		to:   eventsOfTwo + `CREATE TABLE events_2025 (id bigint, at date NOT NULL, kind text, extra integer DEFAULT 7)`,
		rows: `INSERT INTO events VALUES (1, '2025-02-03', 'a'), (2, '2026-02-03', 'b')`,
		read: `SELECT string_agg(id || kind, ',') FROM events_2025`, there: "1a", back: "1a",
	},
	{
		name: "a table with a key becomes a partition",
		from: eventsOfTwo + `CREATE TABLE events_2025 (id integer NOT NULL, at date NOT NULL, kind text DEFAULT 'own', extra text, PRIMARY KEY (id, at)); CREATE INDEX by_that ON events_2025 (kind); COMMENT ON COLUMN events_2025.kind IS 'own'`,
		to:   eventsOfTwo + `CREATE TABLE events_2025 PARTITION OF events (kind DEFAULT 'another') FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')`,
		rows: `INSERT INTO events_2025 VALUES (1, '2025-02-03', 'a')`,
		read: `SELECT string_agg(id || kind, ',') FROM events_2025`, there: "1a", back: "1a",
	},
	{
		name: "a partition gets another parent",
		from: eventsOfTwo + `CREATE TABLE old (id bigint, at date NOT NULL, kind text) PARTITION BY RANGE (at); CREATE TABLE part PARTITION OF old FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')`,
		to:   eventsOfTwo + `CREATE TABLE part PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')`,
		rows: `INSERT INTO part VALUES (1, '2024-02-03', 'a')`,
		read: `SELECT string_agg(id || kind, ',') FROM part`, there: "1a", back: "1a",
	},
	{
		name: "a partition gets other bounds while its parent gets a column",
		from: `CREATE TABLE events (id integer PRIMARY KEY, n integer) PARTITION BY RANGE (id); CREATE TABLE few PARTITION OF events FOR VALUES FROM (1) TO (10)`,
		to:   `CREATE TABLE events (id integer PRIMARY KEY, n bigint, more text DEFAULT 'm') PARTITION BY RANGE (id); CREATE TABLE few PARTITION OF events FOR VALUES FROM (1) TO (20)`,
		rows: `INSERT INTO events VALUES (1, 2)`,
		read: `SELECT string_agg(id || ':' || n, ',') FROM events`, there: "1:2", back: "1:2",
	},
	{
		name: "a parent is partitioned by another key",
		from: `CREATE TABLE events (id integer NOT NULL, n integer NOT NULL) PARTITION BY RANGE (id); CREATE TABLE few PARTITION OF events FOR VALUES FROM (1) TO (10)`,
		to:   `CREATE TABLE events (id integer NOT NULL, n integer NOT NULL) PARTITION BY LIST (n); CREATE TABLE few PARTITION OF events FOR VALUES IN (2, 3)`,
		rows: `INSERT INTO events VALUES (1, 2)`,
		read: `SELECT string_agg(id || ':' || n, ',') FROM events`, there: "1:2", back: "1:2",
	},
	{
		name: "a partition that is partitioned becomes a table of its own",
		from: eventsWithoutKey + `CREATE TABLE sub PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (kind); CREATE TABLE leaf PARTITION OF sub DEFAULT`,
		to:   eventsWithoutKey + `CREATE TABLE sub (id integer NOT NULL, at date NOT NULL, kind text) PARTITION BY LIST (kind); CREATE TABLE leaf PARTITION OF sub DEFAULT`,
		rows: `INSERT INTO sub VALUES (1, '2025-02-03', 'a')`,
		read: `SELECT string_agg(id || kind, ',') FROM leaf`, there: "1a", back: "1a",
	},
	{
		name: "a table inherits for the first time",
		from: `CREATE TABLE parent (id integer, note text, CONSTRAINT sane CHECK (id > 0)); CREATE TABLE child (id integer, note text, extra integer)`,
		to:   `CREATE TABLE parent (id integer, note text, CONSTRAINT sane CHECK (id > 0)); CREATE TABLE child (id integer, note text, extra integer, CONSTRAINT sane CHECK (id > 0)); ALTER TABLE child INHERIT parent`,
		rows: `INSERT INTO child VALUES (1, 'a', 2)`,
		read: `SELECT string_agg(id || note || extra, ',') FROM child`, there: "1a2", back: "1a2",
	},
	{
		name: "a table gets a second parent and loses the first",
		from: `CREATE TABLE p (id integer); CREATE TABLE q (note text); CREATE TABLE r (x integer); CREATE TABLE child (note text, x integer) INHERITS (p)`,
		to:   `CREATE TABLE p (id integer); CREATE TABLE q (note text); CREATE TABLE r (x integer); CREATE TABLE child (note text, x integer, id integer); ALTER TABLE child INHERIT q; ALTER TABLE child INHERIT r`,
		rows: `INSERT INTO child (id, note, x) VALUES (1, 'a', 2)`,
		read: `SELECT coalesce(string_agg(concat(id, note, x), ','), 'lost') FROM child`, there: "1a2",
		back: "lost", // as a child that has its columns from its parent it has to be made anew, and the script says so
	},
	{
		name: "a parent's column changes beneath a child that has it as its own",
		from: `CREATE TABLE parent (id integer, note text); CREATE TABLE child (id integer, note text NOT NULL); ALTER TABLE child INHERIT parent`,
		to:   `CREATE TABLE parent (id integer, note text DEFAULT 'x'); CREATE TABLE child (id integer, note text NOT NULL); ALTER TABLE child INHERIT parent`,
		rows: `INSERT INTO child VALUES (1, 'a')`,
		read: `SELECT id || note FROM child`, there: "1a", back: "1a",
	},
	{
		name: "a table gets another type, and its type another attribute",
		from: `CREATE TYPE thing AS (id integer, note text); CREATE TYPE other AS (id integer, note text); CREATE TABLE a OF thing; CREATE TABLE b OF thing (PRIMARY KEY (id))`,
		to:   `CREATE TYPE thing AS (id bigint, note text, more integer); CREATE TYPE other AS (id integer, note text); CREATE TABLE a OF other; CREATE TABLE b OF thing (PRIMARY KEY (id))`,
		rows: `INSERT INTO a VALUES (1, 'a'); INSERT INTO b VALUES (2, 'b')`,
		read: `SELECT concat(a.id, a.note, b.id, b.note) FROM a, b`, there: "1a2b", back: "1a2b",
	},
	{
		name: "a table is no longer of its type",
		from: `CREATE TYPE thing AS (id integer, note text); CREATE TABLE things OF thing (PRIMARY KEY (id))`,
		to:   `CREATE TYPE thing AS (id integer, note text); CREATE TABLE things (id integer PRIMARY KEY, note text, more integer DEFAULT 1)`,
		rows: `INSERT INTO things VALUES (1, 'a')`,
		read: `SELECT string_agg(id || note, ',') FROM things`, there: "1a", back: "1a",
	},
	{
		name: "tables that refer to each other become unlogged",
		from: `CREATE TABLE a (id integer PRIMARY KEY, b integer); CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b`,
		to:   `CREATE UNLOGGED TABLE a (id integer PRIMARY KEY, b integer); CREATE UNLOGGED TABLE b (id integer PRIMARY KEY, a integer REFERENCES a); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b`,
		rows: `INSERT INTO a VALUES (1, NULL); INSERT INTO b VALUES (2, 1); UPDATE a SET b = 2`,
		read: `SELECT a.id || ':' || b.id FROM a, b`, there: "1:2", back: "1:2",
	},
	{
		name:  "types get wider and narrower",
		from:  `CREATE TABLE t (id integer PRIMARY KEY, n integer DEFAULT 3, s varchar(10), price numeric(6,2), f real, at timestamp, j text, list integer[]); CREATE VIEW v AS SELECT n, s FROM t; CREATE INDEX i ON t (n) WHERE n > 1`,
		to:    `CREATE TABLE t (id bigint PRIMARY KEY, n text DEFAULT '3', s varchar(4), price numeric(12,3), f double precision, at timestamptz, j jsonb, list text[]); CREATE VIEW v AS SELECT n, s FROM t; CREATE INDEX i ON t (n) WHERE n > '1'`,
		rows:  `SET TIME ZONE 'UTC'; INSERT INTO t VALUES (1, 12, 'abc', 1.50, 2.5, '2025-01-02 03:04:05', '{"a": 1}', '{1,2}')`,
		read:  `SELECT concat_ws(' ', id, n, s, price::float8, f, at::timestamp, j, list) FROM t`,
		there: `1 12 abc 1.5 2.5 2025-01-02 03:04:05 {"a": 1} {1,2}`, back: `1 12 abc 1.5 2.5 2025-01-02 03:04:05 {"a": 1} {1,2}`,
	},
	{
		name: "a key and what refers to it get wider",
		from: `CREATE TABLE p (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY); CREATE TABLE c (id serial PRIMARY KEY, p integer NOT NULL REFERENCES p)`,
		to:   `CREATE TABLE p (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); CREATE TABLE c (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, p bigint NOT NULL REFERENCES p ON DELETE CASCADE)`,
		rows: `INSERT INTO p DEFAULT VALUES; INSERT INTO c (p) VALUES (1)`,
		read: `SELECT p.id || ':' || c.id || ':' || c.p FROM p, c`, there: "1:1:1", back: "1:1:1",
	},
	{
		name: "columns must have values, and rules are kept",
		from: `CREATE TABLE t (id integer, n integer, s text); CREATE TABLE other (id integer PRIMARY KEY)`,
		to:   `CREATE TABLE other (id integer PRIMARY KEY); CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL CHECK (n > 0), s text NOT NULL UNIQUE, made integer NOT NULL DEFAULT 5, FOREIGN KEY (n) REFERENCES other, EXCLUDE USING btree (n WITH =))`,
		rows: `INSERT INTO other VALUES (2); INSERT INTO t VALUES (1, 2, 'a')`,
		read: `SELECT id || ':' || n || s FROM t`, there: "1:2a", back: "1:2a",
	},
	{
		name: "an enum loses a label and gets others in another order",
		from: `CREATE TYPE mood AS ENUM ('bad', 'good', 'unused'); CREATE TABLE t (id integer, m mood DEFAULT 'good', l mood[]); CREATE VIEW v AS SELECT m FROM t; CREATE INDEX i ON t (m)`,
		to:   `CREATE TYPE mood AS ENUM ('good', 'fair', 'bad'); CREATE TABLE t (id integer, m mood DEFAULT 'bad', l mood[]); CREATE VIEW v AS SELECT m FROM t; CREATE INDEX i ON t (m)`,
		rows: `INSERT INTO t VALUES (1, 'bad', '{good,bad}'), (2, NULL, NULL)`,
		read: `SELECT string_agg(concat(id, m, l), ',' ORDER BY id) FROM t`, there: "1bad{good,bad},2", back: "1bad{good,bad},2",
	},
	{
		name: "generated columns come, change and stay as plain ones",
		from: `CREATE TABLE t (id integer, n integer, twice integer GENERATED ALWAYS AS (n * 2) STORED, kept integer GENERATED ALWAYS AS (n * 5) STORED); CREATE INDEX i ON t (twice)`,
		to:   `CREATE TABLE t (id integer, n bigint, twice bigint GENERATED ALWAYS AS (n * 3) STORED, kept integer, half bigint GENERATED ALWAYS AS (n / 2) STORED); CREATE INDEX i ON t (twice)`,
		rows: `INSERT INTO t VALUES (1, 4)`,
		read: `SELECT concat_ws(':', id, n, twice, kept) FROM t`, there: "1:4:12:20", back: "1:4:8:20",
	},
	{
		name: "a domain and a composite type change under their columns",
		from: `CREATE DOMAIN short AS text CHECK (length(VALUE) < 10); CREATE TYPE pair AS (l integer, r text); CREATE TABLE t (id integer, s short, p pair)`,
		to:   `CREATE DOMAIN short AS varchar(20) CONSTRAINT len CHECK (length(VALUE) < 5); CREATE TYPE pair AS (l bigint, r text); CREATE TABLE t (id integer, s short, p pair)`,
		rows: `INSERT INTO t VALUES (1, 'abc', '(1,x)')`,
		read: `SELECT concat_ws(':', id, s, p) FROM t`, there: "1:abc:(1,x)", back: "1:abc:(1,x)",
	},
	{
		name: "columns that a publication reads change",
		from: `CREATE TABLE t (id integer PRIMARY KEY, n integer, s text); CREATE TABLE u (id integer PRIMARY KEY); CREATE PUBLICATION news FOR TABLE t WHERE (id > 1), u`,
		to:   `CREATE TABLE t (id bigint PRIMARY KEY, n bigint); CREATE TABLE u (id integer PRIMARY KEY); CREATE PUBLICATION news FOR TABLE t (id, n) WHERE (id > 1), u`,
		rows: `INSERT INTO t VALUES (1, 2, 'x')`,
		read: `SELECT id || ':' || n FROM t`, there: "1:2", back: "1:2",
	},
	{
		name: "a column that a publication's condition reads gets wider",
		from: `CREATE TABLE t (id integer PRIMARY KEY, n integer, b integer); CREATE TABLE u (id integer); CREATE SCHEMA other; CREATE PUBLICATION news FOR TABLE t WHERE (id > 3), u`,
		to:   `CREATE TABLE t (id bigint PRIMARY KEY, n integer, b bigint); CREATE TABLE u (id integer); CREATE SCHEMA other; CREATE PUBLICATION news FOR TABLE t WHERE (id > 3), TABLES IN SCHEMA other WITH (publish = 'insert')`,
		rows: `INSERT INTO t VALUES (1, 2, 3)`,
		read: `SELECT id || ':' || n || ':' || b FROM t`, there: "1:2:3", back: "1:2:3",
	},
	{
		name: "a NOT NULL of a key column gets a name", least: "postgres18",
		from: `CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL); CREATE TABLE u (id integer REFERENCES t)`,
		to:   `CREATE TABLE t (id integer CONSTRAINT filled NOT NULL PRIMARY KEY, n integer CONSTRAINT there NOT NULL); CREATE TABLE u (id integer REFERENCES t)`,
		rows: `INSERT INTO t VALUES (1, 2); INSERT INTO u VALUES (1)`,
		read: `SELECT id || ':' || n FROM t`, there: "1:2", back: "1:2",
	},
	{
		name: "virtual columns become stored", least: "postgres18",
		from: `CREATE TABLE t (id integer, n integer GENERATED ALWAYS AS (id * 2) VIRTUAL)`,
		to:   `CREATE TABLE t (id integer, n integer GENERATED ALWAYS AS (id * 2) STORED)`,
		rows: `INSERT INTO t VALUES (1)`,
		read: `SELECT id || ':' || n FROM t`, there: "1:2", back: "1:2",
	},
}

var rowsOfMySQL = []rowCase{
	{
		name:  "types get wider and narrower",
		from:  `CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, n int DEFAULT 3, s varchar(10), price decimal(6,2), f float, at datetime, j longtext, INDEX (s))`,
		to:    `CREATE TABLE t (id bigint PRIMARY KEY AUTO_INCREMENT, n varchar(12) DEFAULT '3', s varchar(4) CHARACTER SET latin1, price decimal(12,3), f double, at datetime(3), j json, INDEX (s))`,
		rows:  `INSERT INTO t VALUES (1, 12, 'abc', 1.50, 2.5, '2025-01-02 03:04:05', '{"a": 1}')`,
		read:  `SELECT concat_ws(' ', id, n, s, price + 0e0, f, date(at), j) FROM t`,
		there: `1 12 abc 1.5 2.5 2025-01-02 {"a": 1}`, back: `1 12 abc 1.5 2.5 2025-01-02 {"a": 1}`,
	},
	{
		name: "a key and what refers to it get wider",
		from: `CREATE TABLE p (id int PRIMARY KEY AUTO_INCREMENT); CREATE TABLE c (id int PRIMARY KEY, p int NOT NULL, CONSTRAINT whose FOREIGN KEY (p) REFERENCES p (id))`,
		to:   `CREATE TABLE p (id bigint PRIMARY KEY AUTO_INCREMENT); CREATE TABLE c (id int PRIMARY KEY AUTO_INCREMENT, p bigint NOT NULL, CONSTRAINT whose FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)`,
		rows: `INSERT INTO p VALUES (1); INSERT INTO c VALUES (1, 1)`,
		read: `SELECT concat_ws(':', p.id, c.id, c.p) FROM p, c`, there: "1:1:1", back: "1:1:1",
	},
	{
		name: "columns must have values, and rules are kept",
		from: `CREATE TABLE t (id int, n int, s varchar(9)); CREATE TABLE other (id int PRIMARY KEY)`,
		to:   `CREATE TABLE other (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, s varchar(9) NOT NULL UNIQUE, made int NOT NULL DEFAULT 5, CONSTRAINT sane CHECK (n > 0), CONSTRAINT fk FOREIGN KEY (n) REFERENCES other (id))`,
		rows: `INSERT INTO other VALUES (2); INSERT INTO t VALUES (1, 2, 'a')`,
		read: `SELECT concat_ws(':', id, n, s) FROM t`, there: "1:2:a", back: "1:2:a",
	},
	{
		name: "an enum and a set lose a label and get others in another order",
		from: `CREATE TABLE t (id int, m enum('bad','good','unused') DEFAULT 'good', l set('a','b'))`,
		to:   `CREATE TABLE t (id int, m enum('good','fair','bad') NOT NULL DEFAULT 'bad', l set('b','c','a'))`,
		rows: `INSERT INTO t VALUES (1, 'bad', 'a,b')`,
		read: `SELECT concat_ws(':', id, m, if(find_in_set('a', l) AND find_in_set('b', l), 'both', l)) FROM t`, there: "1:bad:both", back: "1:bad:both",
	},
	{
		name: "generated columns come, change and stay as plain ones",
		from: `CREATE TABLE t (id int, n int, twice int GENERATED ALWAYS AS (n * 2) STORED, kept int GENERATED ALWAYS AS (n * 5) STORED, seen int GENERATED ALWAYS AS (n * 7) VIRTUAL, INDEX i (twice))`,
		to:   `CREATE TABLE t (id int, n bigint, twice bigint GENERATED ALWAYS AS (n * 3) STORED, kept int, seen int GENERATED ALWAYS AS (n * 7) STORED, half bigint GENERATED ALWAYS AS (n div 2) VIRTUAL, INDEX i (twice))`,
		rows: `INSERT INTO t (id, n) VALUES (1, 4)`,
		read: `SELECT concat_ws(':', id, n, twice, kept, seen) FROM t`, there: "1:4:12:20:28", back: "1:4:8:20:28",
	},
	{
		name: "a table gets partitions, others and none",
		from: `CREATE TABLE t (id int PRIMARY KEY, n int) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20)); CREATE TABLE u (id int PRIMARY KEY, n int)`,
		to:   `CREATE TABLE t (id int PRIMARY KEY, n bigint, KEY (n)) PARTITION BY HASH (id) PARTITIONS 3; CREATE TABLE u (id int PRIMARY KEY, n int) PARTITION BY LIST (id) (PARTITION a VALUES IN (1, 2), PARTITION b VALUES IN (3))`,
		rows: `INSERT INTO t VALUES (1, 2), (15, 3); INSERT INTO u VALUES (2, 4)`,
		read: `SELECT group_concat(concat_ws(':', t.id, t.n, u.id, u.n) ORDER BY t.id) FROM t, u`, there: "1:2:2:4,15:3:2:4", back: "1:2:2:4,15:3:2:4",
	},
	{
		name: "a range loses its last partition and gets it back",
		from: `CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10))`,
		to:   `CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20))`,
		rows: `INSERT INTO t VALUES (1)`,
		read: `SELECT concat(id) FROM t`, there: "1", back: "1",
	},
	{
		name: "the engine and the character set of a table change",
		from: `CREATE TABLE t (id int PRIMARY KEY, s varchar(10), b text) ENGINE=MyISAM DEFAULT CHARSET=latin1`,
		to:   `CREATE TABLE t (id int PRIMARY KEY, s varchar(10), b text) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
		rows: `INSERT INTO t VALUES (1, 'äö', 'ü')`,
		read: `SELECT concat_ws(':', id, s, b) FROM t`, there: "1:äö:ü", back: "1:äö:ü",
	},
	{
		name: "another key, with numbers by itself", from: `CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, other int NOT NULL)`,
		to:   `CREATE TABLE t (id int NOT NULL, other int PRIMARY KEY AUTO_INCREMENT)`,
		rows: `INSERT INTO t VALUES (1, 7), (2, 8)`,
		read: `SELECT group_concat(concat(id, ':', other) ORDER BY id) FROM t`, there: "1:7,2:8", back: "1:7,2:8",
	},
	{
		name: "what is computed goes with what it is computed from",
		from: `CREATE TABLE t (id int, n int, made int GENERATED ALWAYS AS (n + 1) STORED, more int GENERATED ALWAYS AS (made + n) STORED, KEY (more)); CREATE TABLE g (id int PRIMARY KEY, place point NOT NULL)`,
		to:   `CREATE TABLE t (id int, n bigint, made int GENERATED ALWAYS AS (n + 1) VIRTUAL); CREATE TABLE g (id int PRIMARY KEY, place int)`,
		rows: `INSERT INTO t (id, n) VALUES (1, 2)`,
		read: `SELECT concat_ws(':', id, n, made) FROM t`, there: "1:2:3", back: "1:2:3",
	},
	{
		name: "blocks of a table and its indexes change size",
		from: `CREATE TABLE t (id int PRIMARY KEY, n int, parent int, KEY (n), KEY by_parent (parent), CONSTRAINT whose FOREIGN KEY (parent) REFERENCES t (id)) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8`,
		to:   `CREATE TABLE t (id int PRIMARY KEY, n int, parent int, KEY (n), KEY by_parent (parent), CONSTRAINT whose FOREIGN KEY (parent) REFERENCES t (id))`,
		rows: `INSERT INTO t VALUES (1, 2, 1)`,
		read: `SELECT concat_ws(':', id, n, parent) FROM t`, there: "1:2:1", back: "1:2:1",
	},
	{
		name: "the past of rows is kept while columns change", least: "mariadb",
		from: `CREATE TABLE t (id int PRIMARY KEY, n int) WITH SYSTEM VERSIONING`,
		to:   `CREATE TABLE t (id int PRIMARY KEY, n bigint, more int DEFAULT 3) WITH SYSTEM VERSIONING`,
		rows: `INSERT INTO t VALUES (1, 2); UPDATE t SET n = 5`,
		read: `SELECT group_concat(n ORDER BY n) FROM t FOR SYSTEM_TIME ALL`, there: "2,5", back: "2,5",
	},
}

var rowsOfSQLite = []rowCase{
	{
		name: "types, defaults and rules change",
		from: `CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, s VARCHAR(10)); CREATE VIEW v AS SELECT n FROM t; CREATE INDEX i ON t (n); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END`,
		to:   `CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT NOT NULL DEFAULT 'x' CHECK (n <> 'bad'), s VARCHAR(5) COLLATE NOCASE UNIQUE); CREATE VIEW v AS SELECT n FROM t; CREATE INDEX i ON t (n DESC); CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END`,
		rows: `INSERT INTO t VALUES (1, 2, 'a')`,
		read: `SELECT id || ':' || n || s FROM t`, there: "1:2a", back: "1:2a",
	},
	{
		name: "keys come and go while rows refer to each other",
		from: `CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (id INT, p INT REFERENCES p)`,
		to:   `CREATE TABLE p (id INTEGER PRIMARY KEY AUTOINCREMENT, more TEXT); CREATE TABLE c (id INT PRIMARY KEY, p INT NOT NULL REFERENCES p ON DELETE CASCADE)`,
		rows: `INSERT INTO p VALUES (1); INSERT INTO c VALUES (2, 1)`,
		read: `SELECT p.id || ':' || c.id || ':' || c.p FROM p, c`, there: "1:2:1", back: "1:2:1",
	},
	{
		name: "a table becomes strict and loses its rowid",
		from: `CREATE TABLE t (id INTEGER PRIMARY KEY, n INT)`,
		to:   `CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER) STRICT, WITHOUT ROWID`,
		rows: `INSERT INTO t VALUES (1, 2)`,
		read: `SELECT id || ':' || n FROM t`, there: "1:2", back: "1:2",
	},
	{
		name: "generated columns come, change and stay as plain ones",
		from: `CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, twice INT AS (n * 2) STORED, kept INT AS (n * 5) STORED)`,
		to:   `CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, twice INT AS (n * 3) VIRTUAL, kept INT)`,
		rows: `INSERT INTO t (id, n) VALUES (1, 4)`,
		read: `SELECT id || ':' || n || ':' || twice || ':' || kept FROM t`, there: "1:4:12:20", back: "1:4:8:20",
	},
}
