package postgres

import (
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// itemParts are the queries for what has no struct of its own. All give the same columns: catalogue, oid,
// schema, name, definition, owner, comment, then the options.
func itemParts(version int) []part {
	return []part{
		extensionsPart(), languagesPart(), collationsPart(version), searchPart(), operatorsPart(), operatorFamiliesPart(), operatorClassesPart(),
		castsPart(), conversionsPart(), transformsPart(), accessMethodsPart(), wrappersPart(), serversPart(), userMappingsPart(), statisticsPart(),
		eventTriggersPart(), publicationsPart(version), subscriptionsPart(version),
	}
}

// itemRow puts an item into its schema, or into the database when it has none.
func itemRow(kind schema.Kind, names ...string) func(in *inspection, r []string) {
	return func(in *inspection, r []string) {
		i := &schema.Item{Of: kind, Name: r[3], Definition: r[4], Owner: r[5], Comment: r[6], Options: options(r[7:], names...)}
		if r[2] != "" {
			s := in.schema(r[2])
			s.Items = append(s.Items, i)
		} else {
			in.items = append(in.items, i)
		}
		in.register(r[0], r[1], object{schema.Key{Schema: r[2], Kind: kind, Name: r[3]}, &i.Grants, &i.Needs})
	}
}

// qualified writes the name of an object with its schema.
func qualified(namespace, name string) string {
	return "quote_ident(" + namespace + ") || '.' || quote_ident(" + name + ")"
}

// extensionsPart leaves out plpgsql, which every database is made with.
func extensionsPart() part {
	return part{
		name: "extensions",
		query: `SELECT 'pg_extension', x.oid::text, '', x.extname, 'CREATE EXTENSION ' || quote_ident(x.extname), ` + ownerOf("x.extowner") + `, cd.description, x.extversion, n.nspname
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace` + commentOn("x.oid", "pg_extension", "0") + `WHERE x.extname <> 'plpgsql' ORDER BY 4`,
		row: func(in *inspection, r []string) {
			itemRow(schema.KindExtension, "version", "schema")(in, r)
			if i := in.items[len(in.items)-1]; r[8] != "pg_catalog" && in.schemas[r[8]] != nil {
				i.Needs = append(i.Needs, schema.Key{Schema: r[8]})
			}
		},
	}
}

func languagesPart() part {
	return part{
		name: "languages",
		query: `SELECT 'pg_language', l.oid::text, '', l.lanname, 'CREATE ' || CASE WHEN l.lanpltrusted THEN 'TRUSTED ' ELSE '' END || 'LANGUAGE ' || quote_ident(l.lanname) || ' HANDLER ' || l.lanplcallfoid::regproc
  || CASE WHEN l.laninline <> 0 THEN ' INLINE ' || l.laninline::regproc ELSE '' END || CASE WHEN l.lanvalidator <> 0 THEN ' VALIDATOR ' || l.lanvalidator::regproc ELSE '' END,
  ` + ownerOf("l.lanowner") + `, cd.description
FROM pg_language l` + commentOn("l.oid", "pg_language", "0") + `WHERE l.lanispl AND ` + notOfExtension("l.oid", "pg_language") + ` ORDER BY 4`,
		row: itemRow(schema.KindLanguage),
	}
}

func collationsPart(version int) part {
	locale, rules := "o.colliculocale", "NULL"
	if version >= 160000 {
		rules = "o.collicurules"
	}
	if version >= 170000 {
		locale = "o.colllocale"
	}
	return part{
		name: "collations", of: []string{"pg_collation"},
		query: `SELECT 'pg_collation', o.oid::text, n.nspname, o.collname, 'CREATE COLLATION ' || ` + qualified("n.nspname", "o.collname") + ` || ' (' || concat_ws(', ',
    'PROVIDER = ' || CASE o.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' WHEN 'd' THEN 'default' ELSE 'libc' END,
    'LOCALE = ' || quote_literal(coalesce(` + locale + `, CASE WHEN o.collcollate = o.collctype THEN o.collcollate END)),
    CASE WHEN o.collcollate <> o.collctype THEN 'LC_COLLATE = ' || quote_literal(o.collcollate) || ', LC_CTYPE = ' || quote_literal(o.collctype) END,
    'RULES = ' || quote_literal(` + rules + `), CASE WHEN NOT o.collisdeterministic THEN 'DETERMINISTIC = false' END) || ')', ` + ownerOf("o.collowner") + `, cd.description
FROM pg_collation o JOIN pg_namespace n ON n.oid = o.collnamespace` + commentOn("o.oid", "pg_collation", "0") + `WHERE ` + ofUser("o.oid", "pg_collation") + ` ORDER BY 3, 4`,
		row: itemRow(schema.KindCollation),
	}
}

// searchPart reads parsers, templates, dictionaries and configurations of text search.
func searchPart() part {
	fn := func(column, option string) string {
		return "'" + option + " = ' || nullif(" + column + "::oid, 0)::regproc"
	}
	return part{
		name: "text search objects", of: []string{"pg_ts_parser", "pg_ts_template", "pg_ts_dict", "pg_ts_config"},
		query: `SELECT 'pg_ts_parser', o.oid::text, n.nspname, o.prsname, 'CREATE TEXT SEARCH PARSER ' || ` + qualified("n.nspname", "o.prsname") + ` || ' (' || concat_ws(', ', ` +
			strings.Join([]string{fn("o.prsstart", "START"), fn("o.prstoken", "GETTOKEN"), fn("o.prsend", "END"), fn("o.prslextype", "LEXTYPES"), fn("o.prsheadline", "HEADLINE")}, ", ") + `) || ')', NULL, cd.description, 'text search parser'
FROM pg_ts_parser o JOIN pg_namespace n ON n.oid = o.prsnamespace` + commentOn("o.oid", "pg_ts_parser", "0") + `WHERE ` + ofUser("o.oid", "pg_ts_parser") + `
UNION ALL SELECT 'pg_ts_template', o.oid::text, n.nspname, o.tmplname, 'CREATE TEXT SEARCH TEMPLATE ' || ` + qualified("n.nspname", "o.tmplname") + ` || ' (' || concat_ws(', ', ` +
			fn("o.tmplinit", "INIT") + ", " + fn("o.tmpllexize", "LEXIZE") + `) || ')', NULL, cd.description, 'text search template'
FROM pg_ts_template o JOIN pg_namespace n ON n.oid = o.tmplnamespace` + commentOn("o.oid", "pg_ts_template", "0") + `WHERE ` + ofUser("o.oid", "pg_ts_template") + `
UNION ALL SELECT 'pg_ts_dict', o.oid::text, n.nspname, o.dictname, 'CREATE TEXT SEARCH DICTIONARY ' || ` + qualified("n.nspname", "o.dictname") + ` || ' (' || concat_ws(', ', 'TEMPLATE = ' || ` + qualified("tn.nspname", "t.tmplname") + `, o.dictinitoption) || ')', ` + ownerOf("o.dictowner") + `, cd.description, 'text search dictionary'
FROM pg_ts_dict o JOIN pg_namespace n ON n.oid = o.dictnamespace JOIN pg_ts_template t ON t.oid = o.dicttemplate JOIN pg_namespace tn ON tn.oid = t.tmplnamespace` + commentOn("o.oid", "pg_ts_dict", "0") + `WHERE ` + ofUser("o.oid", "pg_ts_dict") + `
UNION ALL SELECT 'pg_ts_config', o.oid::text, n.nspname, o.cfgname, 'CREATE TEXT SEARCH CONFIGURATION ' || ` + qualified("n.nspname", "o.cfgname") + ` || ' (PARSER = ' || ` + qualified("pn.nspname", "p.prsname") + ` || ')'
  || coalesce((SELECT string_agg(E';\nALTER TEXT SEARCH CONFIGURATION ' || ` + qualified("n.nspname", "o.cfgname") + ` || ' ADD MAPPING FOR ' || m.alias || ' WITH ' || m.dicts, '' ORDER BY m.alias) FROM (
      SELECT (SELECT tt.alias FROM ts_token_type(o.cfgparser) tt WHERE tt.tokid = m.maptokentype) AS alias, string_agg(m.mapdict::regdictionary::text, ', ' ORDER BY m.mapseqno) AS dicts
      FROM pg_ts_config_map m WHERE m.mapcfg = o.oid GROUP BY m.maptokentype) AS m), ''), ` + ownerOf("o.cfgowner") + `, cd.description, 'text search configuration'
FROM pg_ts_config o JOIN pg_namespace n ON n.oid = o.cfgnamespace JOIN pg_ts_parser p ON p.oid = o.cfgparser JOIN pg_namespace pn ON pn.oid = p.prsnamespace` + commentOn("o.oid", "pg_ts_config", "0") + `WHERE ` + ofUser("o.oid", "pg_ts_config") + `
ORDER BY 3, 4`,
		row: func(in *inspection, r []string) { itemRow(schema.Kind(r[7]))(in, r[:7]) },
	}
}

func operatorsPart() part {
	return part{
		name: "operators", of: []string{"pg_operator"},
		query: `SELECT 'pg_operator', o.oid::text, n.nspname, o.oprname || ' (' || CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END || ', ' || format_type(o.oprright, NULL) || ')',
  'CREATE OPERATOR ' || quote_ident(n.nspname) || '.' || o.oprname || ' (' || concat_ws(', ', 'FUNCTION = ' || o.oprcode::regproc, 'LEFTARG = ' || CASE WHEN o.oprleft <> 0 THEN format_type(o.oprleft, NULL) END, 'RIGHTARG = ' || format_type(o.oprright, NULL),
    'COMMUTATOR = OPERATOR(' || quote_ident(cn.nspname) || '.' || c.oprname || ')', 'NEGATOR = OPERATOR(' || quote_ident(gn.nspname) || '.' || g.oprname || ')',
    'RESTRICT = ' || nullif(o.oprrest::oid, 0)::regproc, 'JOIN = ' || nullif(o.oprjoin::oid, 0)::regproc, CASE WHEN o.oprcanhash THEN 'HASHES' END, CASE WHEN o.oprcanmerge THEN 'MERGES' END) || ')', ` + ownerOf("o.oprowner") + `, cd.description
FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
LEFT JOIN pg_operator c ON c.oid = o.oprcom LEFT JOIN pg_namespace cn ON cn.oid = c.oprnamespace LEFT JOIN pg_operator g ON g.oid = o.oprnegate LEFT JOIN pg_namespace gn ON gn.oid = g.oprnamespace` + commentOn("o.oid", "pg_operator", "0") + `
WHERE o.oprcode <> 0 AND ` + ofUser("o.oid", "pg_operator") + ` ORDER BY 3, 4`,
		row: itemRow(schema.KindOperator),
	}
}

// members writes the operators and functions of an operator class or family.
func members(owner string, classid, deptype string) string {
	belongs := func(catalogue, row string) string {
		return "EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = '" + catalogue + "'::regclass AND d.objid = " + row + ".oid AND d.refclassid = '" + classid + "'::regclass AND d.refobjid = " + owner + ".oid AND d.deptype = '" + deptype + "')"
	}
	return `(SELECT string_agg(line, ', ' ORDER BY line) FROM (
    SELECT 'OPERATOR ' || ao.amopstrategy || ' ' || ao.amopopr::regoperator || CASE WHEN ao.amopsortfamily <> 0 THEN ' FOR ORDER BY ' || (SELECT ` + qualified("sn.nspname", "sf.opfname") + ` FROM pg_opfamily sf JOIN pg_namespace sn ON sn.oid = sf.opfnamespace WHERE sf.oid = ao.amopsortfamily) ELSE '' END AS line
    FROM pg_amop ao WHERE ao.amopfamily = f.oid AND ` + belongs("pg_amop", "ao") + `
    UNION ALL SELECT 'FUNCTION ' || ap.amprocnum || ' (' || format_type(ap.amproclefttype, NULL) || ', ' || format_type(ap.amprocrighttype, NULL) || ') ' || ap.amproc::regprocedure
    FROM pg_amproc ap WHERE ap.amprocfamily = f.oid AND ` + belongs("pg_amproc", "ap") + `) AS m)`
}

// operatorFamiliesPart leaves out a family of an operator class's own name, which is made together with it.
func operatorFamiliesPart() part {
	return part{
		name: "operator families", of: []string{"pg_opfamily"},
		query: `SELECT 'pg_opfamily', f.oid::text, n.nspname, f.opfname || ' USING ' || quote_ident(am.amname), 'CREATE OPERATOR FAMILY ' || ` + qualified("n.nspname", "f.opfname") + ` || ' USING ' || quote_ident(am.amname)
  || coalesce(E';\nALTER OPERATOR FAMILY ' || ` + qualified("n.nspname", "f.opfname") + ` || ' USING ' || quote_ident(am.amname) || ' ADD ' || ` + members("f", "pg_opfamily", "a") + `, ''), ` + ownerOf("f.opfowner") + `, cd.description
FROM pg_opfamily f JOIN pg_namespace n ON n.oid = f.opfnamespace JOIN pg_am am ON am.oid = f.opfmethod` + commentOn("f.oid", "pg_opfamily", "0") + `
WHERE ` + ofUser("f.oid", "pg_opfamily") + ` ORDER BY 3, 4`,
		row: itemRow(schema.KindOperatorFamily),
	}
}

func operatorClassesPart() part {
	return part{
		name: "operator classes", of: []string{"pg_opclass"},
		query: `SELECT 'pg_opclass', o.oid::text, n.nspname, o.opcname || ' USING ' || quote_ident(am.amname), 'CREATE OPERATOR CLASS ' || ` + qualified("n.nspname", "o.opcname") + ` || CASE WHEN o.opcdefault THEN ' DEFAULT' ELSE '' END || ' FOR TYPE ' || format_type(o.opcintype, NULL)
  || ' USING ' || quote_ident(am.amname) || ' FAMILY ' || ` + qualified("fn.nspname", "f.opfname") + ` || ' AS '
  || coalesce(` + members("o", "pg_opclass", "i") + ` || CASE WHEN o.opckeytype <> 0 THEN ', ' ELSE '' END, '') || CASE WHEN o.opckeytype <> 0 THEN 'STORAGE ' || format_type(o.opckeytype, NULL) ELSE '' END, ` + ownerOf("o.opcowner") + `, cd.description
FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace JOIN pg_opfamily f ON f.oid = o.opcfamily JOIN pg_namespace fn ON fn.oid = f.opfnamespace JOIN pg_am am ON am.oid = o.opcmethod` + commentOn("o.oid", "pg_opclass", "0") + `
WHERE ` + ofUser("o.oid", "pg_opclass") + ` ORDER BY 3, 4`,
		row: itemRow(schema.KindOperatorClass),
	}
}

// castsPart leaves out the system's own, whose oids are below 16384.
func castsPart() part {
	return part{
		name: "casts", of: []string{"pg_cast"},
		query: `SELECT 'pg_cast', c.oid::text, '', '(' || format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL) || ')',
  'CREATE CAST (' || format_type(c.castsource, NULL) || ' AS ' || format_type(c.casttarget, NULL) || ') ' || CASE c.castmethod WHEN 'f' THEN 'WITH FUNCTION ' || c.castfunc::regprocedure WHEN 'i' THEN 'WITH INOUT' ELSE 'WITHOUT FUNCTION' END || CASE c.castcontext WHEN 'a' THEN ' AS ASSIGNMENT' WHEN 'i' THEN ' AS IMPLICIT' ELSE '' END,
  NULL, cd.description
FROM pg_cast c` + commentOn("c.oid", "pg_cast", "0") + `WHERE c.oid >= 16384 AND ` + notOfExtension("c.oid", "pg_cast") + ` AND ` + notInternal("c.oid", "pg_cast") + ` ORDER BY 4`,
		row: itemRow(schema.KindCast),
	}
}

func conversionsPart() part {
	return part{
		name: "conversions", of: []string{"pg_conversion"},
		query: `SELECT 'pg_conversion', o.oid::text, n.nspname, o.conname, 'CREATE ' || CASE WHEN o.condefault THEN 'DEFAULT ' ELSE '' END || 'CONVERSION ' || ` + qualified("n.nspname", "o.conname") + ` || ' FOR ' || quote_literal(pg_encoding_to_char(o.conforencoding)) || ' TO ' || quote_literal(pg_encoding_to_char(o.contoencoding)) || ' FROM ' || o.conproc::regproc, ` + ownerOf("o.conowner") + `, cd.description
FROM pg_conversion o JOIN pg_namespace n ON n.oid = o.connamespace` + commentOn("o.oid", "pg_conversion", "0") + `WHERE ` + ofUser("o.oid", "pg_conversion") + ` ORDER BY 3, 4`,
		row: itemRow(schema.KindConversion),
	}
}

func transformsPart() part {
	return part{
		name: "transforms", of: []string{"pg_transform"},
		query: `SELECT 'pg_transform', t.oid::text, '', 'FOR ' || format_type(t.trftype, NULL) || ' LANGUAGE ' || quote_ident(l.lanname), 'CREATE TRANSFORM FOR ' || format_type(t.trftype, NULL) || ' LANGUAGE ' || quote_ident(l.lanname) || ' ('
  || concat_ws(', ', 'FROM SQL WITH FUNCTION ' || nullif(t.trffromsql::oid, 0)::regprocedure, 'TO SQL WITH FUNCTION ' || nullif(t.trftosql::oid, 0)::regprocedure) || ')', NULL, cd.description
FROM pg_transform t JOIN pg_language l ON l.oid = t.trflang` + commentOn("t.oid", "pg_transform", "0") + `WHERE ` + notOfExtension("t.oid", "pg_transform") + ` ORDER BY 4`,
		row: itemRow(schema.KindTransform),
	}
}

func accessMethodsPart() part {
	return part{
		name: "access methods", of: []string{"pg_am"},
		query: `SELECT 'pg_am', a.oid::text, '', a.amname, 'CREATE ACCESS METHOD ' || quote_ident(a.amname) || ' TYPE ' || CASE a.amtype WHEN 't' THEN 'TABLE' ELSE 'INDEX' END || ' HANDLER ' || a.amhandler::regproc, NULL, cd.description
FROM pg_am a` + commentOn("a.oid", "pg_am", "0") + `WHERE a.oid >= 16384 AND ` + notOfExtension("a.oid", "pg_am") + ` ORDER BY 4`,
		row: itemRow(schema.KindAccessMethod),
	}
}

func wrappersPart() part {
	return part{
		name: "foreign data wrappers", of: []string{"pg_foreign_data_wrapper"},
		query: `SELECT 'pg_foreign_data_wrapper', f.oid::text, '', f.fdwname, 'CREATE FOREIGN DATA WRAPPER ' || quote_ident(f.fdwname) || coalesce(' HANDLER ' || nullif(f.fdwhandler, 0)::regproc, '') || coalesce(' VALIDATOR ' || nullif(f.fdwvalidator, 0)::regproc, ''), ` + ownerOf("f.fdwowner") + `, cd.description, ` + fdwOptions("f.fdwoptions") + `
FROM pg_foreign_data_wrapper f` + commentOn("f.oid", "pg_foreign_data_wrapper", "0") + `WHERE ` + notOfExtension("f.oid", "pg_foreign_data_wrapper") + ` ORDER BY 4`,
		row: itemRow(schema.KindWrapper, "foreign options"),
	}
}

func serversPart() part {
	return part{
		name: "foreign servers", of: []string{"pg_foreign_server"},
		query: `SELECT 'pg_foreign_server', s.oid::text, '', s.srvname, 'CREATE SERVER ' || quote_ident(s.srvname) || coalesce(' TYPE ' || quote_literal(s.srvtype), '') || ' FOREIGN DATA WRAPPER ' || quote_ident(f.fdwname), ` + ownerOf("s.srvowner") + `, cd.description, s.srvversion, ` + fdwOptions("s.srvoptions") + `
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper f ON f.oid = s.srvfdw` + commentOn("s.oid", "pg_foreign_server", "0") + `WHERE ` + notOfExtension("s.oid", "pg_foreign_server") + ` ORDER BY 4`,
		row: itemRow(schema.KindServer, "version", "foreign options"),
	}
}

// userMappingsPart never reads passwords. Others' options are hidden from a role that is no superuser, which
// is told by the census.
func userMappingsPart() part {
	return part{
		name: "user mappings", of: []string{"pg_foreign_server"},
		query: `SELECT 'pg_user_mapping', m.umid::text, '', 'for ' || m.usename || ' server ' || m.srvname, 'CREATE USER MAPPING FOR ' || CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE quote_ident(m.usename) END || ' SERVER ' || quote_ident(m.srvname), NULL, NULL, ` + fdwOptions("m.umoptions") + `, m.srvname
FROM pg_user_mappings m ORDER BY 4`,
		row: func(in *inspection, r []string) {
			itemRow(schema.KindUserMapping, "foreign options")(in, r[:8])
			i := in.items[len(in.items)-1]
			i.Needs = append(i.Needs, schema.Key{Kind: schema.KindServer, Name: r[8]})
		},
	}
}

func statisticsPart() part {
	return part{
		name: "statistics objects", of: []string{"pg_statistic_ext"},
		query: `SELECT 'pg_statistic_ext', o.oid::text, n.nspname, o.stxname, pg_get_statisticsobjdef(o.oid), ` + ownerOf("o.stxowner") + `, cd.description, nullif(o.stxstattarget, -1)::text, tn.nspname, c.relname
FROM pg_statistic_ext o JOIN pg_namespace n ON n.oid = o.stxnamespace JOIN pg_class c ON c.oid = o.stxrelid JOIN pg_namespace tn ON tn.oid = c.relnamespace` + commentOn("o.oid", "pg_statistic_ext", "0") + `WHERE ` + ofUser("o.oid", "pg_statistic_ext") + ` ORDER BY 3, 4`,
		row: func(in *inspection, r []string) { itemRow(schema.KindStatistics, "statistics")(in, r[:8]) },
	}
}

func eventTriggersPart() part {
	return part{
		name: "event triggers", of: []string{"pg_event_trigger"},
		query: `SELECT 'pg_event_trigger', e.oid::text, '', e.evtname, 'CREATE EVENT TRIGGER ' || quote_ident(e.evtname) || ' ON ' || e.evtevent || coalesce(' WHEN TAG IN (' || (SELECT string_agg(quote_literal(t), ', ' ORDER BY t) FROM unnest(e.evttags) t) || ')', '') || ' EXECUTE FUNCTION ' || e.evtfoid::regproc || '()', ` + ownerOf("e.evtowner") + `, cd.description,
  CASE e.evtenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END
FROM pg_event_trigger e` + commentOn("e.oid", "pg_event_trigger", "0") + `WHERE ` + notOfExtension("e.oid", "pg_event_trigger") + ` ORDER BY 4`,
		row: itemRow(schema.KindEventTrigger, "enabled"),
	}
}

func publicationsPart(version int) part {
	generated := ""
	if version >= 180000 {
		generated = ` || CASE WHEN p.pubgencols = 's' THEN ', publish_generated_columns = stored' ELSE '' END`
	}
	return part{
		name: "publications", of: []string{"pg_publication"},
		query: `SELECT 'pg_publication', p.oid::text, '', p.pubname, 'CREATE PUBLICATION ' || quote_ident(p.pubname) || CASE WHEN p.puballtables THEN ' FOR ALL TABLES' ELSE coalesce(' FOR ' || concat_ws(', ', t.list, s.list), '') END
  || ' WITH (publish = ' || quote_literal(concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END, CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END)) || CASE WHEN p.pubviaroot THEN ', publish_via_partition_root = true' ELSE '' END` + generated + ` || ')',
  ` + ownerOf("p.pubowner") + `, cd.description
FROM pg_publication p
LEFT JOIN LATERAL (SELECT nullif('TABLE ONLY ' || string_agg(r.prrelid::regclass || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)) || ')', '')
    || coalesce(' WHERE (' || pg_get_expr(r.prqual, r.prrelid) || ')', ''), ', TABLE ONLY ' ORDER BY r.prrelid::regclass::text), '') AS list FROM pg_publication_rel r WHERE r.prpubid = p.oid) t ON true
LEFT JOIN LATERAL (SELECT 'TABLES IN SCHEMA ' || string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname) AS list FROM pg_publication_namespace r JOIN pg_namespace n ON n.oid = r.pnnspid WHERE r.pnpubid = p.oid) s ON true` + commentOn("p.oid", "pg_publication", "0") + `ORDER BY 4`,
		row: itemRow(schema.KindPublication),
	}
}

// subscriptionsPart reads the connection string only where the role may, and without its secrets.
func subscriptionsPart(version int) part {
	later := ""
	if version >= 160000 {
		later += `, CASE WHEN NOT u.subpasswordrequired THEN 'password_required = false' END, CASE WHEN u.subrunasowner THEN 'run_as_owner = true' END, CASE WHEN u.suborigin <> 'any' THEN 'origin = ' || u.suborigin END`
	}
	if version >= 170000 {
		later += `, CASE WHEN u.subfailover THEN 'failover = true' END`
	}
	binary := "CASE WHEN u.subbinary THEN 'binary = true' END"
	return part{
		name: "subscriptions", of: []string{"pg_subscription"},
		query: `SELECT 'pg_subscription', u.oid::text, '', u.subname, quote_ident(u.subname), ` + ownerOf("u.subowner") + `, cd.description,
  (SELECT string_agg(quote_ident(x), ', ' ORDER BY x) FROM unnest(u.subpublications) x),
  concat_ws(', ', 'slot_name = ' || coalesce(quote_ident(u.subslotname), 'NONE'), ` + binary + `, CASE WHEN u.subdisableonerr THEN 'disable_on_error = true' END, CASE WHEN u.subtwophasestate <> 'd' THEN 'two_phase = true' END,
    CASE WHEN u.subsynccommit <> 'off' THEN 'synchronous_commit = ' || u.subsynccommit END` + later + `), CASE WHEN u.subenabled THEN '' ELSE 'no' END
FROM pg_subscription u` + commentOn("u.oid", "pg_subscription", "0") + `WHERE u.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 4`,
		row: func(in *inspection, r []string) {
			definition := "CREATE SUBSCRIPTION " + r[4] + " CONNECTION '' PUBLICATION " + r[7] + " WITH (connect = false, " + r[8] + ")"
			i := &schema.Item{Of: schema.KindSubscription, Name: r[3], Definition: definition, Owner: r[5], Comment: r[6], Options: options(r[9:], "enabled")}
			in.items = append(in.items, i)
		},
	}
}
