package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// onPartitions writes an index of a table that has partitions so that others go on writing while it is built: that of the parent
// alone, which has no rows, then one of each partition, which is attached to it. The parent's is valid once each has one
// (https://www.postgresql.org/docs/current/ddl-partitioning.html). ok is false where that cannot be: a partition is a foreign table,
// comes or goes in the same script, or the text of the definition is not as expected.
func (p *plan) onPartitions(n *node, o *schema.Index, definition string) (list []ddl.Statement, ok bool) {
	parent := qualified(n.key.Schema, n.parent.key.Name)
	kind := "CREATE INDEX "
	if strings.HasPrefix(definition, "CREATE UNIQUE INDEX ") {
		kind = "CREATE UNIQUE INDEX "
	}
	rest, ok := strings.CutPrefix(definition, kind+Identifier(o.Name)+" ON ")
	if !ok {
		return nil, false
	}
	for _, table := range []string{parent, Identifier(n.parent.key.Name)} {
		if tail, found := strings.CutPrefix(rest, table+" "); found {
			x := partitionedIndex{plan: p, kind: kind, name: o.Name, tail: tail}
			return x.of(parent, o.Name)
		}
	}
	return nil, false
}

// partitionedIndex is an index that each partition gets.
type partitionedIndex struct {
	*plan
	kind, name string // kind begins the statement
	tail       string // what stands behind the table's name
}

func (x *partitionedIndex) of(table, name string) ([]ddl.Statement, bool) {
	list := []ddl.Statement{{SQL: x.kind + Identifier(name) + " ON ONLY " + table + " " + x.tail, Comment: "Of the parent alone, which has no rows. It is valid once each partition has its own."}}
	for _, part := range x.partitions(table) {
		t, before := x.families.to[part], x.families.from[part]
		if t == nil || before == nil || option(before, "partition of") != table || option(t, "foreign") != "" {
			return nil, false
		}
		own := x.nameOn(t)
		if option(t, "partition key") != "" {
			below, ok := x.of(part, own)
			if !ok {
				return nil, false
			}
			list = append(list, below...)
		} else {
			list = append(list, ddl.Statement{
				SQL:     strings.Replace(x.kind, " INDEX ", " INDEX CONCURRENTLY ", 1) + Identifier(own) + " ON " + part + " " + x.tail,
				Comment: "Built while others read and write. When it fails, drop the invalid index it leaves and run it again.", Outside: true,
			})
		}
		list = append(list, ddl.Statement{SQL: "ALTER INDEX " + x.in(table) + Identifier(name) + " ATTACH PARTITION " + x.in(part) + Identifier(own), Comment: "Changes the catalogue only."})
	}
	return list, true
}

// in is what the name of an index of a table begins with: it is in the schema of the table.
func (x *partitionedIndex) in(table string) string {
	return strings.TrimSuffix(table, Identifier(x.families.to[table].Name))
}

// partitions are those of a table, in the order of their names.
func (x *partitionedIndex) partitions(table string) []string {
	var list []string
	for name, t := range x.families.to {
		if option(t, "partition of") == table {
			list = append(list, name)
		}
	}
	for name, t := range x.families.from { // one that goes
		if option(t, "partition of") == table && x.families.to[name] == nil {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// nameOn is the index's name on a partition. The schema's model has none: what is attached is the parent's. It is another one for
// another definition, as the one before is still there while a parent's index is replaced.
func (x *partitionedIndex) nameOn(t *schema.Table) string {
	sum := sha256.Sum256([]byte(x.name + " " + x.kind + x.tail))
	tail := "_" + hex.EncodeToString(sum[:4])
	base := t.Name + "_" + x.name
	cut := min(len(base), maxName-len(tail))
	for cut > 0 && cut < len(base) && !utf8.RuneStart(base[cut]) {
		cut--
	}
	return base[:cut] + tail
}

// maxName is how many bytes of a name PostgreSQL keeps.
const maxName = 63
