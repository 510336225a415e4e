-- A database of MySQL or MariaDB with a value of each kind that a copy may get wrong.
SET NAMES utf8mb4;
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION';
SET time_zone = '+02:00';

CREATE TABLE numbers (
  id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
  tiny tinyint, tiny_u tinyint unsigned, small_u smallint unsigned, medium mediumint, big bigint, big_u bigint unsigned,
  filled int(8) unsigned zerofill, exact decimal(65,30), exact_u decimal(20,0) unsigned, single_ float, twice double, fixed float(10,3), y year,
  bits bit(1), many bit(64), flags bit(10), KEY by_tiny (tiny), KEY by_exact (exact), UNIQUE KEY one (big_u)
);
INSERT INTO numbers VALUES
 (0, -128, 0, 0, -8388608, -9223372036854775808, 0, 0, -99999999999999999999999999999999999.999999999999999999999999999999, 0, -3.402823466e+38, -1.7976931348623157e308, -1.5, 0, b'0', 0, 0),
 (1, 127, 255, 65535, 8388607, 9223372036854775807, 18446744073709551615, 7, 99999999999999999999999999999999999.999999999999999999999999999999, 99999999999999999999, 3.402823466e+38, 1.7976931348623157e308, 1234567.891, 2155, b'1', ~0, b'1000000001'),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0.000000000000000000000000000001, NULL, 1.17549435e-38, 2.2250738585072014e-308, NULL, 1901, NULL, 2570, 10),
 (3, 9, 10, 13, 92, 0, 39, 12345678, -0.0, 5, -0e0, -0e0, 0, 2000, 1, 9, 92),
 (18446744073709551613, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 1999, 0, 1, 1),
 (5, 1, 1, 1, 1, 1, 2, 1, 1, 1, 16777217, 9007199254740993, 3.1415926, 1999, 0, 1, 1),
 (6, 1, 1, 1, 1, 1, 3, 1, 1, 1, 1.00000012, 5e-324, 3, 1970, 0, 1, 1);

CREATE TABLE times (
  id int PRIMARY KEY, d date, dt datetime(6), ts timestamp NULL, ts6 timestamp(6) NULL, t time(6), zero date NOT NULL DEFAULT '0000-00-00', KEY by_ts (ts)
);
INSERT INTO times VALUES
 (1, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '-838:59:59.000000', DEFAULT),
 (2, '9999-12-31', '9999-12-31 23:59:59.999999', '2038-01-19 05:14:07', '1970-01-01 02:00:01', '838:59:59', '2020-02-31'),
 (3, '2024-00-00', '2024-02-00 00:00:00', '2024-03-31 02:30:00', '2024-10-27 02:30:00.000001', '-00:00:00.000001', '2024-02-30'),
 (4, NULL, NULL, NULL, NULL, NULL, '1000-01-01');

CREATE TABLE texts (
  id int PRIMARY KEY, plain varchar(200), fixed char(10), latin varchar(100) CHARACTER SET latin1, west char(5) CHARACTER SET latin1 COLLATE latin1_german2_ci,
  wide varchar(50) CHARACTER SET utf16, two varchar(50) CHARACTER SET ucs2, four varchar(20) CHARACTER SET utf32, japan varchar(50) CHARACTER SET sjis, china varchar(50) CHARACTER SET gbk,
  short3 varchar(50) CHARACTER SET utf8mb3, seven varchar(50) CHARACTER SET ascii, body longtext, tiny tinytext,
  choice enum('', 'a', 'it''s', 'tab	', 'ä', 'back\\slash'), several set('x', 'y', 'ä'), wide_choice enum('a', 'ü') CHARACTER SET utf16,
  exact varchar(100) COLLATE utf8mb4_bin, KEY by_plain (plain(20)), KEY by_latin (latin), UNIQUE KEY by_exact (exact)
) DEFAULT CHARSET = utf8mb4;
INSERT INTO texts VALUES
 (1, '', '', '', '', '', '', '', '', '', '', '', '', '', '', '', 'a', ''),
 (2, 'tab	newline
backslash \\ N quote '' double " zero \0 end', 'x  ', CONVERT(0x80818D8F9091A0FF USING latin1), _latin1 0xE4F6FCDF, 'ünï\t\n\\', 'ü	\n', '😀', 'ソ表能', '汉\\字', 'ä€', 'a\\tb', REPEAT('zeile\n', 20000), '\\N', 'it''s', 'x,y', 'ü', 'N'),
 (3, '\\N', 'NULL', 'NULL', 'N', '\\N', '\\N', 'x', 'NULL', 'NULL', 'NULL', '\\N', 'NULL', '\r\n', 'tab	', 'ä', 'a', '\\N'),
 (4, '😀🏳️‍🌈 é e\u0301', '😀', 'é', 'é', '😀', 'é', '😀', 'ア', '汉', 'é', 'e', '😀', '😀', 'ä', 'x,ä', NULL, '😀'),
 (5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (6, ' leading', ' x', ' x ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', 'back\\slash', 'y', 'a', ' x');
INSERT INTO texts (id, choice) VALUES (7, 'no member');

CREATE TABLE bytes (
  id binary(16) PRIMARY KEY, v varbinary(300), b longblob, small_ tinyblob, fixed binary(5), KEY by_v (v(10))
);
INSERT INTO bytes VALUES
 (UNHEX('00000000000000000000000000000000'), UNHEX('000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F202122232425262728292A2B2C2D2E2F303132333435363738393A3B3C3D3E3F404142434445464748494A4B4C4D4E4F505152535455565758595A5B5C5D5E5F606162636465666768696A6B6C6D6E6F707172737475767778797A7B7C7D7E7F808182838485868788898A8B8C8D8E8F909192939495969798999A9B9C9D9E9FA0A1A2A3A4A5A6A7A8A9AAABACADAEAFB0B1B2B3B4B5B6B7B8B9BABBBCBDBEBFC0C1C2C3C4C5C6C7C8C9CACBCCCDCECFD0D1D2D3D4D5D6D7D8D9DADBDCDDDEDFE0E1E2E3E4E5E6E7E8E9EAEBECEDEEEFF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF'), '', '', ''),
 (UNHEX('0A0A0A0A095C5C5C5C4E0D001A27225C'), '\\N', REPEAT(UNHEX('00FF0A095C'), 300000), '\0', 'a'),
 (UNHEX('FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'), NULL, NULL, NULL, NULL);

CREATE TABLE documents (id int PRIMARY KEY, j json, note varchar(20));
INSERT INTO documents VALUES (1, '{"a": [1, 2.5, -0.0, 1e300, null, true], "t": "tab\\t newline\\n \\"quote\\" \\\\ ä 😀"}', 'x'), (2, NULL, 'y'), (3, '[]', NULL), (4, '"\\u0000"', ''), (5, 'null', 'z');

CREATE TABLE places (id int PRIMARY KEY, p point NOT NULL, g geometry, several geometrycollection, SPATIAL KEY by_p (p));
INSERT INTO places VALUES (1, ST_GeomFromText('POINT(1.5 -2)'), ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 0))'), ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))')), (2, ST_GeomFromText('POINT(9 10)'), NULL, NULL);

CREATE TABLE computed (
  id int PRIMARY KEY, a int, s int GENERATED ALWAYS AS (a * 2) STORED, v varchar(20) GENERATED ALWAYS AS (concat('v', a)) VIRTUAL, hidden int INVISIBLE DEFAULT 5, b int,
  KEY by_v (v), KEY by_s (s), CONSTRAINT small CHECK (a < 1000)
);
INSERT INTO computed (id, a, hidden, b) VALUES (1, 10, 7, NULL), (2, NULL, NULL, 3);

CREATE TABLE no_key (n int, t varchar(20), KEY by_n (n));
INSERT INTO no_key VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL);
CREATE TABLE empty_ (id int AUTO_INCREMENT PRIMARY KEY, t text, FULLTEXT KEY words (t));
ALTER TABLE empty_ AUTO_INCREMENT = 4711;
CREATE TABLE second_counts (a int, n int AUTO_INCREMENT, b int, KEY by_n (n), PRIMARY KEY (a, n)) DEFAULT CHARSET = latin1;
INSERT INTO second_counts (a, n) VALUES (1, 0), (1, 5), (2, 6);

CREATE TABLE parents (a int, b varchar(10), PRIMARY KEY (a, b));
CREATE TABLE children (id int PRIMARY KEY, a int, b varchar(10), boss int, CONSTRAINT parent FOREIGN KEY (a, b) REFERENCES parents (a, b) ON DELETE SET NULL ON UPDATE CASCADE, CONSTRAINT boss FOREIGN KEY (boss) REFERENCES children (id));
CREATE TABLE chickens (id int PRIMARY KEY, egg int);
CREATE TABLE eggs (id int PRIMARY KEY, chicken int, CONSTRAINT layer FOREIGN KEY (chicken) REFERENCES chickens (id));
INSERT INTO parents VALUES (1, 'x'), (2, 'y');
SET foreign_key_checks = 0;
INSERT INTO children VALUES (1, 1, 'x', 2), (2, 2, 'y', NULL), (3, NULL, 'x', 3);
ALTER TABLE chickens ADD CONSTRAINT origin FOREIGN KEY (egg) REFERENCES eggs (id);
INSERT INTO chickens VALUES (1, 1); INSERT INTO eggs VALUES (1, 1);
SET foreign_key_checks = 1;

CREATE TABLE by_range (id int NOT NULL, at date NOT NULL, t varchar(10), PRIMARY KEY (id, at), KEY by_t (t))
PARTITION BY RANGE COLUMNS (at) (PARTITION p2023 VALUES LESS THAN ('2024-01-01'), PARTITION rest VALUES LESS THAN (MAXVALUE));
INSERT INTO by_range VALUES (1, '2023-05-05', 'a'), (1, '2025-05-05', 'b');

CREATE TABLE `Mixed Case "and" ``quotes``` (`select` int PRIMARY KEY, `Größe, 好` varchar(20), `a.b` int);
INSERT INTO `Mixed Case "and" ``quotes``` VALUES (1, '好', 2);
CREATE TABLE `größe` (`n` int PRIMARY KEY);
INSERT INTO `größe` VALUES (1);
CREATE TABLE log (id int AUTO_INCREMENT PRIMARY KEY, what varchar(200));

CREATE VIEW z_base AS SELECT id, a, hidden FROM computed WHERE a > 1;
CREATE VIEW a_above AS SELECT z.id, n.t FROM z_base z LEFT JOIN no_key n ON n.n = z.id;

DELIMITER //
CREATE FUNCTION doubled (n int) RETURNS int DETERMINISTIC NO SQL RETURN n * 2//
CREATE PROCEDURE fill (IN n int) MODIFIES SQL DATA BEGIN INSERT INTO log (what) VALUES (concat('it''s \\ ', n)); END//
CREATE TRIGGER children_log AFTER INSERT ON children FOR EACH ROW INSERT INTO log (what) VALUES (concat('child ', NEW.id))//
CREATE TRIGGER children_second AFTER INSERT ON children FOR EACH ROW FOLLOWS children_log CALL fill(NEW.id)//
CREATE DEFINER = 'nobody'@'localhost' TRIGGER numbers_trigger BEFORE UPDATE ON numbers FOR EACH ROW SET NEW.tiny = 1//
CREATE EVENT often ON SCHEDULE EVERY 1 SECOND STARTS '2030-01-01 00:00:00' DO INSERT INTO log (what) VALUES ('event')//
CREATE EVENT never ON SCHEDULE AT '2035-05-05 05:05:05' DISABLE COMMENT 'off' DO SET @z = 1//
DELIMITER ;
INSERT INTO log (what) VALUES ('before');
