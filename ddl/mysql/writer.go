// Package mysql writes scripts for MySQL 8.4 and later and MariaDB 10.11 and later.
//
//	diff.Result ──▶ steps, by phase ──ddl.Order──▶ statements, each under the session it needs ──▶ ddl.Script
//
// The phases are: what stands in the way is dropped (grants, programs, foreign keys), tables are dropped,
// altered and made without foreign keys, then programs, views in the order of their names in each other,
// foreign keys and grants. DDL commits by itself on these servers, so a script that fails stays half done:
// each statement stands alone.
package mysql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// Writer writes scripts for the server that the first schema comes from, or the second when the first
// is empty.
type Writer struct{}

var _ ddl.Writer = Writer{}

// The phases, in their order. Within one, steps are ordered by what they need, then by name.
const (
	phaseDatabase = iota
	phaseRename
	phaseRevoke
	phaseDropProgram
	phaseDropView
	phaseDropKey
	phaseDropTable
	phaseSequence
	phaseTable
	phaseDropSequence
	phaseRoutine
	phaseView
	phaseTrigger
	phaseEvent
	phaseKey
	phaseGrant
)

// script is a script being written.
type script struct {
	mariadb  bool
	explicit bool // collations are said of every column
	from, to *schema.Schema
	steps    []ddl.Step
	sessions map[string]session // of steps that need another than the usual one, by ID
	notes    []string
	usual    string // database collation that programs are made under
}

// Script implements ddl.Writer.
func (Writer) Script(r *diff.Result) (*ddl.Script, error) {
	s := &script{sessions: map[string]session{}, from: &schema.Schema{}, to: &schema.Schema{}}
	engine := r.From.Engine
	if engine == "" {
		engine = r.To.Engine
	}
	if engine != "mysql" && engine != "mariadb" && engine != "" {
		return nil, fmt.Errorf("write a script for %s with the writer of MySQL and MariaDB", engine)
	}
	s.mariadb = engine == "mariadb"
	if r.From.Engine != "" && r.To.Engine != "" && r.From.Engine != r.To.Engine {
		s.notes = append(s.notes, fmt.Sprintf("the second schema is one of %s, the script is for %s: what the two servers call differently has to be looked at", r.To.Engine, r.From.Engine))
	}
	if n := r.From.Schema("main"); n != nil {
		s.from = n
	}
	if n := r.To.Schema("main"); n != nil {
		s.to = n
	}
	for _, x := range r.To.Settings {
		if x.Name == "collation" {
			s.usual = x.Value
		}
	}
	s.renames(r.Renames)
	for _, c := range r.Changes {
		switch c.Kind {
		case schema.KindSetting:
			s.setting(c)
		case schema.KindSchema:
			s.schema(c)
		}
	}
	s.foreignKeys()
	return s.finish()
}

// add adds a step.
func (s *script) add(phase int, id string, after []string, statements ...ddl.Statement) {
	s.steps = append(s.steps, ddl.Step{ID: id, Rank: phase, After: after, Statements: statements})
}

// renames are confirmed ones. The first schema has the new names already.
func (s *script) renames(list []diff.Rename) {
	for i, r := range list {
		var sql string
		comment := "Changes the catalogue only. Views, triggers and routines keep the old name in their text."
		switch r.Kind {
		case schema.KindTable, schema.KindView:
			sql = fmt.Sprintf("RENAME TABLE %s TO %s", Quote(r.From), Quote(r.To))
		case schema.KindColumn:
			if slices.ContainsFunc(list[:i], func(p diff.Rename) bool { return p.Kind == r.Kind && p.Parent == r.Parent }) {
				continue // done together with the first of the table
			}
			var copies bool
			if sql, copies = s.renameColumns(r.Parent, list[i:]); copies {
				comment = "A check reads the column: it is taken out and put back, for which the table is copied while writes wait. Views, triggers and routines keep the old name in their text."
			}
		case schema.KindIndex:
			sql = fmt.Sprintf("ALTER TABLE %s RENAME INDEX %s TO %s", Quote(r.Parent), Quote(r.From), Quote(r.To))
		default:
			s.notes = append(s.notes, fmt.Sprintf("the rename %s cannot be said in a statement here", r))
			continue
		}
		s.add(phaseRename, fmt.Sprintf("rename %04d", i), nil, ddl.Statement{SQL: sql, Comment: comment})
	}
}

// renameColumns renames the columns of a table in one statement. MySQL refuses it for a column that a check
// reads, so such checks are taken out and put back in the same statement, which copies the table; MariaDB
// follows by itself.
func (s *script) renameColumns(table string, list []diff.Rename) (sql string, copies bool) {
	var drops, renames, adds []string
	renamed := map[string]bool{}
	for _, r := range list {
		if r.Kind == schema.KindColumn && r.Parent == table {
			renames = append(renames, "RENAME COLUMN "+Quote(r.From)+" TO "+Quote(r.To))
			renamed[r.To] = true
		}
	}
	t := s.from.Table(table)
	if t != nil && !s.mariadb {
		for _, c := range t.Constraints {
			reads := func(token sqltoken.Token) bool { return token.IsName() && renamed[token.Name] }
			if c.Type == schema.Check && slices.ContainsFunc(sqltoken.Split(c.Definition, sqltoken.Of("mysql")), reads) {
				drops = append(drops, "DROP CONSTRAINT "+Quote(c.Name))
				adds = append(adds, "ADD "+s.constraint(c))
			}
		}
	}
	clauses := slices.Concat(drops, renames, adds)
	if len(drops) == 0 && t != nil && schema.Value(t.Options, "engine") == "InnoDB" {
		clauses = append(clauses, "ALGORITHM=INPLACE", "LOCK=NONE")
	}
	return "ALTER TABLE " + Quote(table) + " " + strings.Join(clauses, ", "), len(drops) > 0
}

// setting changes a setting of the database. One cannot be taken away.
func (s *script) setting(c diff.Change) {
	if c.Action == diff.Drop {
		return
	}
	value := c.After.(*schema.Setting).Value
	switch c.Name {
	case "collation":
		s.add(phaseDatabase, "collation", nil, ddl.Statement{
			SQL:     "ALTER DATABASE CHARACTER SET " + charset(value) + " COLLATE " + value,
			Comment: "The default of tables made from now on. Changes no table that is there.",
		})
	case "encryption":
		s.add(phaseDatabase, "encryption", nil, ddl.Statement{SQL: "ALTER DATABASE ENCRYPTION = " + Literal(value), Comment: "The default of tables made from now on."})
	default:
		s.notes = append(s.notes, "the setting "+c.Name+" is changed by no script")
	}
}

func (s *script) schema(c diff.Change) {
	if p, ok := c.Property(schema.PropertyComment); ok && s.mariadb {
		s.add(phaseDatabase, "comment", nil, ddl.Statement{SQL: "ALTER DATABASE COMMENT = " + Literal(p.To)})
	}
	s.grants("*", c)
	triggers := map[string]bool{}
	for _, x := range c.Children {
		switch x.Kind {
		case schema.KindTable:
			s.table(x)
			s.grants(Quote(x.Name), x)
			triggers[x.Name] = true
		case schema.KindView:
			s.view(x)
			s.grants(Quote(x.Name), x)
		case schema.KindSequence:
			s.sequence(x)
			s.grants(Quote(x.Name), x)
		case schema.KindRoutine:
			s.routine(x)
		case schema.KindEvent:
			s.event(x)
		case schema.KindPackage:
			s.packageOf(x)
		case schema.KindGrant:
		default:
			s.notes = append(s.notes, fmt.Sprintf("no statement for the %s %s", x.Kind, x.Name))
		}
	}
}

func (s *script) sequence(c diff.Change) {
	name := Quote(c.Name)
	switch c.Action {
	case diff.Add:
		s.add(phaseSequence, "sequence "+c.Name, nil, s.createSequence(c.After.(*schema.Sequence)))
	case diff.Drop:
		s.add(phaseDropSequence, "drop sequence "+c.Name, nil, ddl.Statement{SQL: "DROP SEQUENCE " + name, Comment: "Loses where the sequence stands.", Destroys: true})
	default:
		if p, ok := c.Property("definition"); ok {
			s.add(phaseSequence, "sequence "+c.Name, nil, ddl.Statement{SQL: "ALTER SEQUENCE " + name + " " + strings.Replace(p.To, "as bigint ", "", 1), Comment: "Goes on from where the sequence stands."})
		}
		if p, ok := c.Property(schema.PropertyComment); ok {
			s.add(phaseDropSequence, "sequence comment "+c.Name, nil, ddl.Statement{SQL: "ALTER TABLE " + name + " COMMENT = " + Literal(p.To)})
		}
	}
}

func (s *script) createSequence(q *schema.Sequence) ddl.Statement {
	sql := "CREATE SEQUENCE " + Quote(q.Name) + " " + q.Definition
	if q.Comment != "" {
		sql += " COMMENT = " + Literal(q.Comment)
	}
	return ddl.Statement{SQL: sql}
}

// finish orders the steps and puts each under the session it needs.
func (s *script) finish() (*ddl.Script, error) {
	ordered, err := ddl.Order(s.steps)
	if err != nil {
		return nil, fmt.Errorf("order the statements: %w", err)
	}
	out := &ddl.Script{Notes: s.notes}
	usual := session{mode: DefaultMode(s.mariadb), client: "utf8mb4", zone: "SYSTEM", database: s.usual}
	now := session{mode: unknownMode, database: s.usual}
	for _, step := range ordered {
		want := usual
		if x, special := s.sessions[step.ID]; special {
			want = x
		}
		if step.Rank == phaseDatabase {
			want.database = now.database
		}
		out.Statements = append(out.Statements, now.become(want)...)
		now = want
		out.Statements = append(out.Statements, step.Statements...)
	}
	if len(ordered) > 0 {
		if now.database != usual.database {
			out.Statements = append(out.Statements, ddl.Statement{SQL: "ALTER DATABASE CHARACTER SET " + charset(usual.database) + " COLLATE " + usual.database, Comment: "As it was."})
		}
		out.Statements = append(out.Statements, ddl.Statement{SQL: "SET sql_mode = @@GLOBAL.sql_mode, time_zone = @@GLOBAL.time_zone", Comment: "The session as the server starts one."})
	}
	return out, nil
}
