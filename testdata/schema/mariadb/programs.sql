-- Views, routines, triggers and events of MariaDB 10.11 and later, each with what can be said of it.
SET NAMES utf8mb4;

CREATE TABLE items (id int PRIMARY KEY AUTO_INCREMENT, name varchar(40) NOT NULL, price decimal(8,2) NOT NULL DEFAULT 0, changed int NOT NULL DEFAULT 0);
CREATE TABLE log (at timestamp DEFAULT CURRENT_TIMESTAMP, what text);

CREATE VIEW z_base AS SELECT id, name, price * 2 AS twice FROM items WHERE price > 1 AND (name LIKE 'a%' OR name = 'it''s `here`.x');
CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW a_above AS SELECT z.id, z.twice FROM z_base z WHERE z.id > 3 WITH CASCADED CHECK OPTION;
CREATE ALGORITHM=TEMPTABLE VIEW sums AS SELECT name, count(*) AS n, sum(price) AS total FROM items GROUP BY name HAVING n > 1 ORDER BY total DESC LIMIT 10;
CREATE VIEW local_check AS SELECT id, price FROM items WHERE price < 100 WITH LOCAL CHECK OPTION;
CREATE VIEW joined AS SELECT i.id, l.what FROM items i LEFT JOIN log l ON l.what = i.name AND l.at > now() - interval 1 day JOIN (SELECT max(id) AS m FROM items) x ON x.m >= i.id;
CREATE VIEW recursive_ AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i, row_number() OVER (PARTITION BY i % 2 ORDER BY i) AS r FROM n;
CREATE VIEW two AS SELECT id FROM items UNION SELECT 0 UNION ALL SELECT length(what) FROM log;

DELIMITER //
CREATE FUNCTION doubled (n int, t varchar(10) CHARACTER SET latin1) RETURNS decimal(10,2) DETERMINISTIC NO SQL SQL SECURITY INVOKER COMMENT 'twice; it''s simple'
BEGIN
  -- a comment; with a semicolon
  DECLARE r decimal(10,2) DEFAULT n * 2;
  RETURN r;
END//
CREATE PROCEDURE fill (IN n int, OUT total bigint unsigned, INOUT t varchar(20)) MODIFIES SQL DATA
BEGIN
  INSERT INTO log (what) VALUES (concat('filled `', n, '`'));
  SELECT count(*) INTO total FROM items;
END//
CREATE PROCEDURE quotes () COMMENT 'a ''quote''' SELECT 'it''s', 'a\'b', "x""y", _latin1'z', 'back\\slash', 'line\nbreak'//
CREATE EVENT quoted_event ON SCHEDULE AT '2035-05-05 05:05:05' DISABLE COMMENT 'don''t' DO SET @q = 'it''s \\ "'//
CREATE TRIGGER after_update AFTER UPDATE ON items FOR EACH ROW SET @q = 'it''s \\ "'//
CREATE PROCEDURE nothing () READS SQL DATA SELECT 1//
CREATE FUNCTION uses_view () RETURNS int READS SQL DATA RETURN (SELECT count(*) FROM z_base)//
CREATE VIEW uses_function AS SELECT doubled(id, 'x') AS d FROM items//

CREATE TRIGGER z_first BEFORE UPDATE ON items FOR EACH ROW SET NEW.changed = OLD.changed + 1//
CREATE TRIGGER a_second BEFORE UPDATE ON items FOR EACH ROW FOLLOWS z_first
BEGIN
  IF NEW.price <> OLD.price THEN
    INSERT INTO log (what) VALUES ('price');
  END IF;
END//
CREATE TRIGGER before_all BEFORE UPDATE ON items FOR EACH ROW PRECEDES z_first SET @x = 1//
CREATE TRIGGER after_insert AFTER INSERT ON items FOR EACH ROW INSERT INTO log (what) VALUES (NEW.name)//

CREATE EVENT every_day ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 03:00:00' ENDS '2037-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE COMMENT 'nightly' DO
BEGIN
  DELETE FROM log WHERE at < now() - interval 30 day;
  DELETE FROM log WHERE what = 'x';
END//
CREATE EVENT composite ON SCHEDULE EVERY '1:30' HOUR_MINUTE STARTS '2030-01-01 03:00:00' DO SET @y = 1//
CREATE EVENT once ON SCHEDULE AT '2035-05-05 05:05:05' DO SET @z = 1//
DELIMITER ;

-- Made under another sql_mode, character set and time zone, and by another account.
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES';
DELIMITER //
CREATE FUNCTION glued (a varchar(10)) RETURNS varchar(30) DETERMINISTIC RETURN "a" || '\' || 'x'//
CREATE TRIGGER quoted BEFORE INSERT ON log FOR EACH ROW SET NEW."what" = 'a' || NEW."what"//
DELIMITER ;
SET sql_mode = DEFAULT;
SET character_set_client = latin1, collation_connection = latin1_german1_ci;
CREATE PROCEDURE latin () SELECT 'x';
SET NAMES utf8mb4;
SET time_zone = '+02:00';
CREATE EVENT in_zone ON SCHEDULE EVERY 1 WEEK STARTS '2030-01-01 03:00:00' DO SET @w = 1;
SET time_zone = 'SYSTEM';
CREATE DEFINER='switchback_other'@'localhost' PROCEDURE others () SELECT 1;
CREATE DEFINER='switchback_other'@'localhost' VIEW others_view AS SELECT id FROM items;
CREATE DEFINER='switchback_other'@'localhost' TRIGGER others_trigger BEFORE DELETE ON items FOR EACH ROW SET @d = 1;
CREATE DEFINER='switchback_other'@'localhost' EVENT others_event ON SCHEDULE EVERY 1 YEAR STARTS '2030-01-01 03:00:00' DISABLE DO SET @e = 1;

-- What MySQL does not have.
DELIMITER //
CREATE AGGREGATE FUNCTION total_of (n int) RETURNS int DETERMINISTIC
BEGIN
  DECLARE s int DEFAULT 0;
  DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s;
  LOOP
    FETCH GROUP NEXT ROW;
    SET s = s + n;
  END LOOP;
END//
SET sql_mode = 'ORACLE'//
CREATE PACKAGE tools COMMENT 'a package' AS
  FUNCTION one RETURN INT;
  PROCEDURE two (n INT);
END//
CREATE PACKAGE BODY tools AS
  FUNCTION one RETURN INT AS
  BEGIN
    RETURN 1;
  END;
  PROCEDURE two (n INT) AS
  BEGIN
    SELECT n;
  END;
END//
CREATE PROCEDURE in_oracle_words (a IN INT, b OUT VARCHAR2(10)) AS
BEGIN
  b := 'x';
END//
DELIMITER ;
SET sql_mode = DEFAULT;
