-- What PostgreSQL 18 has over 17.
CREATE TABLE virtual (
  id integer CONSTRAINT must NOT NULL,
  a integer NOT NULL,
  b integer GENERATED ALWAYS AS (a + 1) VIRTUAL,
  c integer CONSTRAINT loose CHECK (c > 0) NOT ENFORCED
);
ALTER TABLE virtual ADD CONSTRAINT later NOT NULL c NOT VALID;
CREATE TABLE periods (id int4range, during daterange, CONSTRAINT k PRIMARY KEY (id, during WITHOUT OVERLAPS));
CREATE TABLE refers (id int4range, during daterange, CONSTRAINT f FOREIGN KEY (id, PERIOD during) REFERENCES periods (id, PERIOD during));
CREATE TABLE unenforced (id integer PRIMARY KEY, other integer CONSTRAINT self REFERENCES unenforced NOT ENFORCED);
CREATE TABLE parent (id integer CONSTRAINT kept NOT NULL NO INHERIT);
CREATE PUBLICATION generated FOR TABLE virtual (id, a) WITH (publish_generated_columns = stored);
