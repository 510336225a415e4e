-- Every kind of object and every property that SQLite has.
PRAGMA application_id = 1398167362;
PRAGMA user_version = 7;

CREATE TABLE customers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  "full name" TEXT NOT NULL ON CONFLICT FAIL COLLATE NOCASE DEFAULT 'it''s -- nobody', -- a comment; with a semicolon
  email VARCHAR(80) CONSTRAINT one_email UNIQUE ON CONFLICT IGNORE CHECK (customers.email LIKE '%@%'),
  balance DECIMAL(10, 2) DEFAULT -1.5,
  born DATE DEFAULT CURRENT_DATE,
  raw BLOB DEFAULT x'00FF',
  half REAL DEFAULT (1 + 0.5),
  untyped,
  [odd ""name] int null,
  `back``tick` DOUBLE PRECISION COLLATE RTRIM,
  upper_name TEXT GENERATED ALWAYS AS (upper("full name")) VIRTUAL,
  twice AS (balance * 2) STORED,
  CONSTRAINT grown CHECK (born < '2020-01-01' OR born IS NULL)
  CHECK (balance > -100),
  UNIQUE ("full name", born COLLATE BINARY) ON CONFLICT REPLACE
);

CREATE TABLE countries (
  code TEXT NOT NULL,
  region INT NOT NULL DEFAULT 0,
  name TEXT,
  PRIMARY KEY (code ASC, region DESC) ON CONFLICT ROLLBACK
) WITHOUT ROWID;

CREATE TABLE typed (
  id INTEGER PRIMARY KEY,
  n INT NOT NULL,
  r REAL,
  t TEXT,
  b BLOB,
  a ANY
) STRICT;

CREATE TABLE both (k TEXT PRIMARY KEY, v ANY) STRICT, WITHOUT ROWID;

CREATE TABLE backwards (id INTEGER PRIMARY KEY DESC, other INTEGER);

CREATE TABLE orders (
  id INTEGER NOT NULL CONSTRAINT orders_key PRIMARY KEY ON CONFLICT ABORT,
  customer INTEGER REFERENCES customers ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
  country TEXT,
  region INT DEFAULT 3,
  parent INTEGER CONSTRAINT up REFERENCES orders (id) ON DELETE SET DEFAULT NOT DEFERRABLE INITIALLY IMMEDIATE,
  CONSTRAINT whither FOREIGN KEY (country, region) REFERENCES countries (code, region) MATCH FULL ON DELETE RESTRICT ON UPDATE NO ACTION
);

-- Two tables that point to each other, and one whose parent is not there.
CREATE TABLE hen (id INTEGER PRIMARY KEY, egg INTEGER REFERENCES egg (id));
CREATE TABLE egg (id INTEGER PRIMARY KEY, hen INTEGER REFERENCES hen (id));
CREATE TABLE orphan (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES nowhere (id));

CREATE TABLE "select" ("from" TEXT, "where" TEXT, "it's" TEXT DEFAULT "quoted");
CREATE TABLE "<script>alert(1)</script>" (a);
CREATE TABLE copied AS SELECT id, "full name", balance FROM customers;

CREATE INDEX customers_born ON customers (born DESC, "full name" COLLATE NOCASE ASC);
CREATE UNIQUE INDEX customers_active ON customers (email) WHERE balance > 0 AND born IS NOT NULL;
CREATE INDEX customers_lower ON customers (lower(email), length("full name") DESC);
CREATE INDEX IF NOT EXISTS "odd index" ON "select" ("from");

CREATE VIEW adults AS
  SELECT id, "full name" -- the name
  FROM customers
  WHERE born < '2000-01-01';
CREATE VIEW named (who, "how much") AS SELECT "full name", balance FROM adults JOIN customers USING (id, "full name");
CREATE VIEW totals AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i, (SELECT count(*) FROM orders) AS c FROM n -- ends in a comment
;

CREATE TRIGGER customers_insert AFTER INSERT ON customers BEGIN
  UPDATE customers SET born = coalesce(NEW.born, '1970-01-01') WHERE id = NEW.id;
  INSERT INTO "select" VALUES ('a;b', 'END', NULL);
END;
CREATE TRIGGER customers_update UPDATE OF email, balance ON customers FOR EACH ROW WHEN OLD.email <> NEW.email BEGIN
  SELECT RAISE(ABORT, 'no; never');
END;
CREATE TRIGGER orders_delete BEFORE DELETE ON orders BEGIN DELETE FROM hen WHERE id = OLD.id; END;
CREATE TRIGGER adults_insert INSTEAD OF INSERT ON adults BEGIN
  INSERT INTO customers ("full name") VALUES (NEW."full name");
END;
CREATE TRIGGER adults_update INSTEAD OF UPDATE OF "full name" ON adults WHEN NEW.id > 0 BEGIN
  UPDATE customers SET "full name" = CASE WHEN NEW."full name" = '' THEN 'x' ELSE NEW."full name" END WHERE id = OLD.id;
END;

CREATE VIRTUAL TABLE documents USING fts5 (title, body, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE boxes USING rtree (id, x0, x1, +label TEXT);
