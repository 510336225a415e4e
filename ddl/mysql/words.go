package mysql

import (
	"regexp"
	"strings"
)

// reserved are the words that MySQL 9 (information_schema.keywords) or MariaDB 11 ("Reserved Words" in its manual) takes
// for no identifier unless they are quoted.
func reserved(word string) bool {
	return strings.Contains(reservedWords, " "+strings.ToLower(word)+" ")
}

var reservedWords = " " + strings.Join(strings.Fields(`
accessible add all alter analyze and as asc asensitive before between bigint binary blob both by call cascade 
case change char character check collate column condition constraint continue conversion convert create cross 
cube cume_dist current_date current_role current_time current_timestamp current_user cursor database 
databases day_hour day_microsecond day_minute day_second dec decimal declare default delayed delete 
delete_domain_ids dense_rank desc describe deterministic distinct distinctrow div do_domain_ids double drop 
dual each else elseif empty enclosed escaped except exists exit explain external false fetch first_value 
float float4 float8 for force foreign from fulltext function general generated get grant group grouping 
groups having high_priority hour_microsecond hour_minute hour_second if ignore ignore_domain_ids 
ignore_server_ids in index infile inner inout insensitive insert int int1 int2 int3 int4 int8 integer 
intersect interval into io_after_gtids io_before_gtids is iterate join json_table key keys kill lag 
last_value lateral lead leading leave left library like limit linear lines load localtime localtimestamp lock 
long longblob longtext loop low_priority master_heartbeat_period master_ssl_verify_server_cert match maxvalue 
mediumblob mediumint mediumtext middleint minus minute_microsecond minute_second mod modifies natural 
no_write_to_binlog not nth_value ntile null numeric of offset on optimize optimizer_costs option optionally 
or order out outer outfile over page_checksum parse_vcol_expr partition percent_rank period position 
precision primary procedure purge qualify range rank read read_write reads real recursive ref_system_id 
references regexp release rename repeat replace require resignal restrict return returning revoke right rlike 
row row_number rownum rows schema schemas second_microsecond select sensitive separator set show signal slow 
smallint spatial specific sql sql_big_result sql_calc_found_rows sql_small_result sqlexception sqlstate 
sqlwarning ssl starting stats_auto_recalc stats_persistent stats_sample_pages stored straight_join sysdate 
system table tablesample terminated then tinyblob tinyint tinytext to trailing trigger true undo union unique 
unlock unsigned update usage use using utc_date utc_time utc_timestamp values varbinary varchar varcharacter 
varying virtual when where while window with write xor year_month zerofill 
`), " ") + " "

var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// Quote writes an identifier, in backticks only where both servers need them.
func Quote(name string) string {
	if plainName.MatchString(name) && !reserved(name) {
		return name
	}
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// Literal writes a text as a string literal, for a session whose sql_mode lets the backslash escape.
func Literal(text string) string {
	return "'" + strings.NewReplacer("'", "''", "\\", "\\\\", "\n", "\\n", "\r", "\\r", "\x00", "\\0", "\x1a", "\\Z").Replace(text) + "'"
}
