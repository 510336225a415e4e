-- What MariaDB alone has.
CREATE SEQUENCE invoice START WITH 100 INCREMENT BY 5 CACHE 10;
CREATE SEQUENCE down_ START WITH -1 INCREMENT BY -1 MINVALUE -1000 MAXVALUE -1 NOCACHE CYCLE;
SELECT NEXTVAL(invoice), NEXTVAL(invoice), NEXTVAL(down_);
CREATE TABLE invoices (id bigint DEFAULT (NEXTVAL(invoice)) PRIMARY KEY, total int);
INSERT INTO invoices (total) VALUES (1), (2);
CREATE TABLE addresses (id uuid PRIMARY KEY, six inet6, squeezed varchar(500) COMPRESSED);
INSERT INTO addresses VALUES ('123e4567-e89b-12d3-a456-426655440000', '2001:db8::ff00:42:8329', repeat('x', 400)), ('00000000-0000-0000-0000-000000000000', '::', NULL);
CREATE TABLE remembered (id int PRIMARY KEY, t varchar(10)) WITH SYSTEM VERSIONING;
INSERT INTO remembered VALUES (1, 'a'), (2, 'b');
UPDATE remembered SET t = 'c' WHERE id = 1;
DELETE FROM remembered WHERE id = 2;
CREATE TABLE booked (room int NOT NULL, from_ date NOT NULL, until date NOT NULL, PERIOD FOR stay (from_, until), UNIQUE KEY once (room, stay WITHOUT OVERLAPS));
INSERT INTO booked VALUES (1, '2024-01-01', '2024-02-01');
