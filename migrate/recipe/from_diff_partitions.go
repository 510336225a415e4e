package recipe

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// partitions gives the operation of a table of PostgreSQL that gets partitions. It returns false for any other table, and
// for one with partitions that no operation can say, such as those that have partitions themselves: settle names it.
func (t *tableDiffer) partitions() bool {
	key := schema.Value(t.after.Options, "partition key")
	if t.engine.name() != "postgres" || key == "" || schema.Value(t.before.Options, "partition key") != "" {
		return false
	}
	wanted := t.partsOf(t.name)
	var parts []string
	for _, p := range wanted {
		if schema.Value(p.Options, "partition key") != "" {
			return false
		}
		parts = append(parts, "PARTITION "+t.engine.quote(p.Name)+" "+schema.Value(p.Options, "partition bound"))
	}
	if strings.HasPrefix(key, "HASH ") {
		var ok bool
		if parts, ok = t.hashed(wanted); !ok {
			return false
		}
	}
	if len(parts) == 0 {
		return false
	}
	t.add(PartitionTable{Table: t.name, By: fmt.Sprintf("%s (%s)", key, strings.Join(parts, ", "))})
	return true
}

// partsOf returns the partitions that a table is to have in its own schema, in the order of their names.
func (d *differ) partsOf(of Table) []*schema.Table {
	var out []*schema.Table
	for _, x := range d.past.Schema(of.Schema).Tables {
		if partOf(x, of) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b *schema.Table) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// hashes is the bound of a partition of a hash.
var hashes = regexp.MustCompile(`(?i)^FOR VALUES WITH \(modulus (\d+), remainder (\d+)\)$`)

// hashed are the partitions of a hash by their remainders: an operation does not say these, but the order. All have one
// modulus, which is their number.
func (t *tableDiffer) hashed(parts []*schema.Table) ([]string, bool) {
	out := make([]string, len(parts))
	for _, p := range parts {
		m := hashes.FindStringSubmatch(schema.Value(p.Options, "partition bound"))
		if m == nil || m[1] != strconv.Itoa(len(parts)) {
			return nil, false
		}
		n, err := strconv.Atoi(m[2])
		if err != nil || n >= len(out) {
			return nil, false
		}
		out[n] = "PARTITION " + t.engine.quote(p.Name)
	}
	return out, true
}

// withPartitions tells whether a new table is a partition of one that was there before, and had none: it comes with that.
func (d *differ) withPartitions(in, name string) bool {
	x := d.past.Schema(in).Table(name)
	if x == nil || d.engine.name() != "postgres" {
		return false
	}
	s := d.from.Schema(in)
	return s != nil && slices.ContainsFunc(s.Tables, func(t *schema.Table) bool {
		return schema.Value(t.Options, "partition key") == "" && partOf(x, Table{in, t.Name})
	})
}

// indexed is the definition of an index, as it is on a table with partitions.
func indexed(definition string) string {
	return sqltoken.Replace(definition, sqltoken.Of("postgres"), func(list []sqltoken.Token, i int) (string, bool) {
		return "ON ONLY", list[i].Is("on") && i+1 < len(list) && !list[i+1].Is("only") && i > 0
	})
}
