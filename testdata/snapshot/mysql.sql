-- What MySQL alone has.
CREATE TABLE globe (id int PRIMARY KEY, p point SRID 4326 NOT NULL, q point SRID 0);
INSERT INTO globe VALUES (1, ST_GeomFromText('POINT(48.2 16.4)', 4326), ST_GeomFromText('POINT(1 2)', 0));
CREATE TABLE vectors (id int PRIMARY KEY, v vector(3));
INSERT INTO vectors VALUES (1, STRING_TO_VECTOR('[1, -2.5, 1e10]')), (2, NULL);
CREATE TABLE lists (id int PRIMARY KEY, j json, KEY many ((CAST(j->'$' AS unsigned ARRAY))), KEY lower_ ((id + 1)));
INSERT INTO lists VALUES (1, '[1, 2, 3]'), (2, '[]');
CREATE TABLE moments (id int PRIMARY KEY, j json);
INSERT INTO moments VALUES (1, JSON_OBJECT('n', 12345678901234567890, 'e', 1e-7, 'x', CAST(9007199254740993 AS json)));
