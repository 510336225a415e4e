package snapshot

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/switchbackdb/switchback/schema"
)

// Mask says which columns have other values in a copy that people may see who must not see the real ones. The
// same value becomes the same value under the same rule and key, in every table, so that keys still meet; without
// the key nobody can tell which it was.
type Mask struct {
	key     []byte
	text    string // the rules, in an order of their own
	columns map[string]MaskRule
	tables  map[string]map[string]MaskRule // by the names of parts, once a model was seen
}

// MaskRule is what becomes of a column's values. NULL stays NULL.
type MaskRule struct {
	Kind     MaskKind
	Constant string // for MaskConstant
}

// MaskKind is a way to make another value.
type MaskKind string

// The kinds.
const (
	MaskNull     MaskKind = "null"     // NULL
	MaskConstant MaskKind = "constant" // always the same text
	MaskHash     MaskKind = "hash"     // 16 hexadecimal digits
	MaskEmail    MaskKind = "email"    // user-0123456789ab@example.com
	MaskName     MaskKind = "name"     // a first and a last name
	MaskNumber   MaskKind = "number"   // another whole number of as many bits; no two become the same
	MaskDate     MaskKind = "date"     // up to half a year earlier or later; the time of day stays
	MaskRedact   MaskKind = "redact"   // letters become x, digits 0; length and punctuation stay
)

var maskKinds = []MaskKind{MaskNull, MaskConstant, MaskHash, MaskEmail, MaskName, MaskNumber, MaskDate, MaskRedact}

// maskFile is mask.yaml.
type maskFile struct {
	Key     string         `yaml:"key"`
	Columns map[string]any `yaml:"columns"`
}

// ParseMask reads rules from YAML:
//
//	key: a secret         # without it a new one is made, and masked copies do not match each other
//	columns:
//	  customers.email: email
//	  customers.country: {constant: XX}
//
// Tables may have a schema before their name.
func ParseMask(text []byte) (*Mask, error) {
	var file maskFile
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		return nil, err
	}
	if len(file.Columns) == 0 {
		return nil, errors.New("it names no columns")
	}
	m := &Mask{key: []byte(file.Key), columns: map[string]MaskRule{}}
	if file.Key == "" {
		m.key = make([]byte, 32)
		_, _ = rand.Read(m.key) // never fails, see crypto/rand
	}
	var lines []string
	for name, value := range file.Columns {
		if strings.Count(name, ".") < 1 || strings.Count(name, ".") > 2 {
			return nil, fmt.Errorf("column %q: want TABLE.COLUMN or SCHEMA.TABLE.COLUMN", name)
		}
		rule, err := parseRule(value)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", name, err)
		}
		m.columns[name] = rule
		lines = append(lines, fmt.Sprintf("%s %s %q", name, rule.Kind, rule.Constant))
	}
	slices.Sort(lines)
	m.text = strings.Join(lines, "\n")
	return m, nil
}

func parseRule(value any) (MaskRule, error) {
	switch v := value.(type) {
	case nil: // null, without quotes
		return MaskRule{Kind: MaskNull}, nil
	case string:
		if k := MaskKind(v); k != MaskConstant && slices.Contains(maskKinds, k) {
			return MaskRule{Kind: k}, nil
		}
	case map[string]any:
		if text, ok := v["constant"]; ok && len(v) == 1 {
			return MaskRule{Kind: MaskConstant, Constant: fmt.Sprint(text)}, nil
		}
	}
	return MaskRule{}, fmt.Errorf("%v is no rule: want null, hash, email, name, number, date, redact, or {constant: TEXT}", value)
}

// Hash names the rules in a manifest, without the key.
func (m *Mask) Hash() string {
	h := sha256.Sum256([]byte(m.text))
	return hex.EncodeToString(h[:])
}

// For checks the rules against the schema they are for: every column is there, can have such values, and has the
// same rule as those that foreign keys compare it with.
func (m *Mask) For(model *schema.Database) error {
	m.tables = map[string]map[string]MaskRule{}
	known := map[string]bool{}
	for _, s := range model.Schemas {
		for _, t := range s.Tables {
			if c := m.forgotten(s.Name, t); c != "" {
				return fmt.Errorf("column %s.%s waits in the attic, with the values of a column that is masked: give it a rule too", t.Name, c)
			}
			for _, c := range t.Columns {
				for _, name := range namesOf(s.Name, t.Name, c.Name) {
					rule, ok := m.columns[name]
					if !ok {
						continue
					}
					known[name] = true
					if rule.Kind == MaskNull && c.NotNull {
						return fmt.Errorf("column %s cannot be NULL: give it another rule, such as redact", name)
					}
					m.set(partName(model, s.Name, t.Name), c.Name, rule)
				}
			}
		}
	}
	for name := range m.columns {
		if !known[name] {
			return fmt.Errorf("column %s is not in the snapshot", name)
		}
	}
	return m.keysMeet(model)
}

// forgotten is a column in the attic without a rule, of a table that has masked columns: old values wait there.
func (m *Mask) forgotten(schemaName string, t *schema.Table) string {
	masked, forgotten := false, ""
	for _, c := range t.Columns {
		ruled := slices.ContainsFunc(namesOf(schemaName, t.Name, c.Name), func(name string) bool { _, ok := m.columns[name]; return ok })
		masked = masked || ruled
		if strings.HasPrefix(c.Name, "switchback_old_") && !ruled {
			forgotten = c.Name
		}
	}
	if !masked {
		return ""
	}
	return forgotten
}

func (m *Mask) set(table, column string, rule MaskRule) {
	if m.tables[table] == nil {
		m.tables[table] = map[string]MaskRule{}
	}
	m.tables[table][column] = rule
}

// usualSchemas need not be named.
var usualSchemas = []string{"main", "public", ""}

// namesOf are the names by which a rule may call a column.
func namesOf(schemaName, table, column string) []string {
	names := []string{schemaName + "." + table + "." + column}
	if slices.Contains(usualSchemas, schemaName) {
		names = append(names, table+"."+column)
	}
	return names
}

// partName is the name of the part that holds a table's rows.
func partName(model *schema.Database, schemaName, table string) string {
	if model.Engine == "postgres" {
		return schemaName + "." + table
	}
	return table
}

// keysMeet tells whether both sides of each foreign key have the same rules.
func (m *Mask) keysMeet(model *schema.Database) error {
	for _, s := range model.Schemas {
		for _, t := range s.Tables {
			for _, k := range t.Constraints {
				if k.References == nil {
					continue
				}
				child := partName(model, s.Name, t.Name)
				parent := partName(model, orElse(k.References.Schema, s.Name), k.References.Table)
				others := referenced(model, s, k.References)
				for i, column := range k.Columns {
					if i >= len(others) {
						break
					}
					other := others[i]
					a, b := m.tables[child][column], m.tables[parent][other]
					if a != b && a.Kind != MaskNull {
						return fmt.Errorf("%s.%s points to %s.%s: both need the same rule, or neither one", child, column, parent, other)
					}
				}
			}
		}
	}
	return nil
}

// referenced are the columns that a foreign key points to: those of the primary key where it names none.
func referenced(model *schema.Database, in *schema.Schema, r *schema.Reference) []string {
	if len(r.Columns) > 0 {
		return r.Columns
	}
	for _, s := range model.Schemas {
		if s.Name != orElse(r.Schema, in.Name) {
			continue
		}
		if t := s.Table(r.Table); t != nil {
			return t.KeyColumns()
		}
	}
	return nil
}

func orElse(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// Columns are the rules of a table, by column, as the name of its part has it; nil for none.
func (m *Mask) Columns(table string) map[string]MaskRule {
	if m == nil {
		return nil
	}
	return m.tables[table]
}

// Content is what a masked copy can be compared with: the hashes of masked tables are not known.
func (m *Mask) Content(c Content) Content {
	if m == nil {
		return c
	}
	c.Tables = slices.Clone(c.Tables)
	for i := range c.Tables {
		if len(m.tables[c.Tables[i].Name]) > 0 {
			c.Tables[i].Hash = ""
		}
	}
	return c
}

// Masker is a point or a site whose data are a file, which it masks itself.
type Masker interface {
	// Mask changes the values of the copy, never those of the database it was taken of.
	Mask(ctx context.Context, m *Mask) error
}

// apply masks what is a file, once the schema is known. It is for those engines alone: rows are masked as they
// pass.
func (m *Mask) apply(ctx context.Context, parts []Part, copied any) error {
	if m == nil || !slices.ContainsFunc(parts, func(p Part) bool { return p.Kind == FilePart && !p.own() }) {
		return nil
	}
	masker, ok := copied.(Masker)
	if !ok {
		return errors.New("its data cannot be masked")
	}
	return masker.Mask(ctx, m)
}

// pass hands what a chunk holds to load, masked.
func (m *Mask) pass(p Part, from io.Reader, load func(io.Reader) error) error {
	if len(m.Columns(p.Name)) == 0 {
		return load(from)
	}
	masked, into := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := io.Copy(m.writer(p, into), from)
		_ = into.CloseWithError(err) // nil is the end
	}()
	err := load(masked)
	_ = masked.Close() // lets the other side end when load has not read all
	<-ended
	return err
}

// writer masks text with a row a line, and writes it on. It returns to itself when no column is masked.
func (m *Mask) writer(p Part, to io.Writer) io.Writer {
	rules := m.Columns(p.Name)
	if len(rules) == 0 || p.Kind != RowsPart {
		return to
	}
	w := &maskWriter{mask: m, to: to, rules: make([]*MaskRule, len(p.Columns))}
	for i, name := range p.Columns {
		if rule, ok := rules[name]; ok {
			w.rules[i] = &rule
		}
	}
	return w
}
