-- Every kind of column, index, constraint and table option of MariaDB 10.11 and later.
SET NAMES utf8mb4;

CREATE TABLE numbers (
  id bigint unsigned NOT NULL AUTO_INCREMENT,
  tiny tinyint NOT NULL DEFAULT 3,
  flag tinyint(1) NOT NULL DEFAULT '1',
  small smallint unsigned DEFAULT NULL,
  medium mediumint DEFAULT -5,
  narrow int(5) DEFAULT NULL,
  filled int(8) unsigned zerofill DEFAULT 7,
  exact decimal(12,4) DEFAULT 1.5000,
  approximate double DEFAULT 2.5e10,
  single_ float DEFAULT NULL,
  bits bit(4) DEFAULT b'101',
  PRIMARY KEY (id)
) COMMENT='numbers, and a ''quote''';

CREATE TABLE texts (
  id int NOT NULL,
  plain varchar(40) NOT NULL DEFAULT 'it''s \\ a "text"',
  fixed char(3) CHARACTER SET ascii COLLATE ascii_bin DEFAULT 'abc',
  latin varchar(10) CHARACTER SET latin1 COLLATE latin1_german2_ci DEFAULT NULL COMMENT 'Umlaute: äöü',
  binary_ varbinary(16) DEFAULT 'abc',
  fixed_binary binary(4) DEFAULT NULL,
  body mediumtext,
  computed_text text DEFAULT (concat('a', "b\'c", '\n')),
  literal_text text DEFAULT 'a''b',
  choice enum('small','it''s','large') NOT NULL DEFAULT 'small',
  several set('a','b','c') DEFAULT 'a,c',
  document json DEFAULT (json_object('k', 1)),
  not_json longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin DEFAULT NULL CHECK (json_valid(not_json) AND id > 0),
  blob_ longblob,
  squeezed varchar(500) COMPRESSED DEFAULT NULL,
  big varchar(20) COLLATE utf8mb4_bin DEFAULT NULL,
  empty_ varchar(5) NOT NULL DEFAULT '',
  checked int DEFAULT 1 COMMENT 'small' CHECK (checked > 0 and checked <> 7),
  number_ uuid DEFAULT uuid(),
  address inet6 DEFAULT NULL,
  `select` int DEFAULT NULL,
  `odd ``name` int DEFAULT NULL,
  PRIMARY KEY (id),
  FULLTEXT KEY words (body),
  KEY prefix (plain(10),fixed DESC),
  KEY hidden (big) IGNORED,
  UNIQUE KEY long_unique (body) USING HASH,
  UNIQUE KEY unique_ (latin, `select`) COMMENT 'no two'
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE times (
  id int NOT NULL,
  day date DEFAULT '2020-02-29',
  moment datetime(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
  stamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP,
  length time(3) DEFAULT '10:00:00.500',
  y year DEFAULT '2024',
  later datetime DEFAULT (now() + interval 1 day),
  PRIMARY KEY (id)
);

CREATE TABLE computed (
  id int NOT NULL,
  width int DEFAULT NULL,
  height int DEFAULT NULL,
  area int GENERATED ALWAYS AS (width * height) STORED,
  half int GENERATED ALWAYS AS ((area + 1) div 2) VIRTUAL COMMENT 'rounded up',
  label varchar(50) GENERATED ALWAYS AS (concat(_utf8mb4'a b', width, ' x ', height)) VIRTUAL,
  secret int INVISIBLE DEFAULT 5,
  PRIMARY KEY (id),
  KEY by_half (half),
  CONSTRAINT positive CHECK (width > 0 AND height > 0),
  CONSTRAINT listed CHECK (id in (1, 2) or label like '%\\%' and (width between 1 and 5 or not height > 2))
);

CREATE TABLE places (
  id int NOT NULL,
  point_ point NOT NULL,
  shape geometry DEFAULT NULL,
  several geometrycollection DEFAULT NULL,
  PRIMARY KEY (id),
  SPATIAL KEY by_point (point_)
);

CREATE TABLE parents (
  a int NOT NULL,
  b int NOT NULL,
  PRIMARY KEY (a,b)
);

CREATE TABLE children (
  id int NOT NULL,
  a int DEFAULT NULL,
  b int DEFAULT NULL,
  boss int DEFAULT NULL,
  PRIMARY KEY (id),
  KEY by_parent (a,b),
  CONSTRAINT parent FOREIGN KEY (a,b) REFERENCES parents (a,b) ON DELETE SET NULL ON UPDATE CASCADE,
  CONSTRAINT boss FOREIGN KEY (boss) REFERENCES children (id) ON DELETE CASCADE
);

-- Two tables that need each other.
CREATE TABLE chickens (id int PRIMARY KEY, egg int);
CREATE TABLE eggs (id int PRIMARY KEY, chicken int, CONSTRAINT layer FOREIGN KEY (chicken) REFERENCES chickens (id));
ALTER TABLE chickens ADD CONSTRAINT origin FOREIGN KEY (egg) REFERENCES eggs (id);

CREATE TABLE packed (id int PRIMARY KEY, t text) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8 STATS_PERSISTENT=1 COMMENT='packed';
CREATE TABLE squeezed (id int PRIMARY KEY) PAGE_COMPRESSED=1 PAGE_COMPRESSION_LEVEL=5;
CREATE TABLE plain_rows (id int PRIMARY KEY) ROW_FORMAT=REDUNDANT MAX_ROWS=1000 STATS_AUTO_RECALC=0 STATS_SAMPLE_PAGES=20;
CREATE TABLE old_engine (id int NOT NULL, t varchar(10), KEY by_t (t) KEY_BLOCK_SIZE=1024, KEY hashed (id) USING BTREE) ENGINE=MyISAM PACK_KEYS=1 CHECKSUM=1 DELAY_KEY_WRITE=1;
CREATE TABLE crash_safe (id int NOT NULL PRIMARY KEY) ENGINE=Aria TRANSACTIONAL=1 PAGE_CHECKSUM=1;
CREATE TABLE in_memory (id int NOT NULL, n int, PRIMARY KEY (id) USING HASH, KEY sorted (n) USING BTREE) ENGINE=MEMORY;
CREATE TABLE no_key (n int, t varchar(5)) DEFAULT CHARSET=latin1;

CREATE TABLE by_range (id int NOT NULL, at date NOT NULL, PRIMARY KEY (id, at))
PARTITION BY RANGE COLUMNS (at) (
  PARTITION p2023 VALUES LESS THAN ('2024-01-01') COMMENT = 'old',
  PARTITION p2024 VALUES LESS THAN ('2025-01-01'),
  PARTITION rest VALUES LESS THAN (MAXVALUE));
CREATE TABLE by_range_and_hash (id int NOT NULL, y int NOT NULL)
PARTITION BY RANGE (y) SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (
  PARTITION a VALUES LESS THAN (10) (SUBPARTITION a1, SUBPARTITION a2),
  PARTITION b VALUES LESS THAN (20) (SUBPARTITION b1, SUBPARTITION b2));
CREATE TABLE by_list (id int NOT NULL, area varchar(5)) PARTITION BY LIST COLUMNS (area) (
  PARTITION north VALUES IN ('n', 'ne'), PARTITION south VALUES IN ('s', NULL));
CREATE TABLE by_hash (id int NOT NULL) PARTITION BY LINEAR HASH (id + 1) PARTITIONS 3;
CREATE TABLE by_key (id int PRIMARY KEY) PARTITION BY KEY () PARTITIONS 2;

-- Tables that know their past, and periods.
CREATE TABLE remembered (id int PRIMARY KEY, t varchar(10), hot int WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING;
CREATE TABLE remembered_from (
  id int PRIMARY KEY, t varchar(10),
  seen_from timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE,
  seen_to timestamp(6) GENERATED ALWAYS AS ROW END,
  PERIOD FOR SYSTEM_TIME (seen_from, seen_to)
) WITH SYSTEM VERSIONING;
CREATE TABLE remembered_parts (id int) WITH SYSTEM VERSIONING PARTITION BY SYSTEM_TIME LIMIT 1000 (PARTITION p0 HISTORY, PARTITION pn CURRENT);
CREATE TABLE booked (
  room int NOT NULL, from_ date NOT NULL, until date NOT NULL, guest varchar(20),
  PERIOD FOR stay (from_, until),
  UNIQUE KEY once (room, stay WITHOUT OVERLAPS)
);

CREATE SEQUENCE counter START WITH 5 INCREMENT BY 3 MINVALUE 1 MAXVALUE 1000 CACHE 10 CYCLE;
CREATE SEQUENCE plain_counter;
CREATE TABLE counted (id int DEFAULT (nextval(counter)), PRIMARY KEY (id));
