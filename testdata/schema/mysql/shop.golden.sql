-- from the shop of last year to that of this year

SET NAMES utf8mb4;

SET sql_mode = 'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION';

SET time_zone = 'SYSTEM';

-- It does not fire until it is made again below, if it is. Loses the definition: the script the other way brings it back. Statements that use it fail meanwhile.
DROP TRIGGER stamp;

-- Changes the catalogue only. Rows without a parent can be written from here on.
ALTER TABLE orders DROP FOREIGN KEY whose;

-- Loses all rows of the table, its indexes and its triggers.
DROP TABLE leftovers;

-- Copies the table and blocks writes meanwhile.
-- Loses the values of the column gone.
-- Converts the column id from int to bigint; in strict mode it fails where a value does not fit.
-- Converts the column name from varchar(20) to varchar(40); in strict mode it fails where a value does not fit.
ALTER TABLE customers
  DROP INDEX by_name,
  DROP COLUMN gone,
  MODIFY COLUMN id bigint NOT NULL AUTO_INCREMENT,
  MODIFY COLUMN name varchar(40) NOT NULL,
  ADD COLUMN added timestamp NULL DEFAULT CURRENT_TIMESTAMP,
  ADD CONSTRAINT grown CHECK (age > 0),
  ADD INDEX by_age (age),
  COMMENT='who buys';

CREATE TABLE events (
  id int,
  at date NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci
PARTITION BY RANGE (year(at)) (PARTITION p0 VALUES LESS THAN (2030), PARTITION rest VALUES LESS THAN MAXVALUE);

-- Copies the table and blocks writes meanwhile.
-- Converts the column customer from int to bigint; in strict mode it fails where a value does not fit.
ALTER TABLE orders
  MODIFY COLUMN customer bigint,
  ADD COLUMN note varchar(20);

CREATE DEFINER=`root`@`localhost` FUNCTION doubled(n int) RETURNS int
    DETERMINISTIC
RETURN n * 2;

-- Replaces the view at once; its grants stay.
CREATE OR REPLACE DEFINER=`root`@`localhost` VIEW adults AS
select `customers`.`id` AS `id`,`customers`.`name` AS `name` from `customers` where (`customers`.`age` >= 21);

CREATE DEFINER=`root`@`localhost` VIEW a_few AS
select `adults`.`id` AS `id` from `adults` where (`adults`.`id` < 10);

DELIMITER $$
CREATE DEFINER=`root`@`localhost` TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW
BEGIN SET @a = 1; SET @b = 'it''s'; END$$
DELIMITER ;

-- Checks every row: the table is copied, and writes to it wait. Fails when a row has no parent.
ALTER TABLE orders ADD CONSTRAINT whose FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE;

-- The session as the server starts one.
SET sql_mode = @@GLOBAL.sql_mode, time_zone = @@GLOBAL.time_zone;
