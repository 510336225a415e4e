package diff

import (
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// renamer does one rename in a model.
type renamer struct {
	Rename
	database *schema.Database
	schema   *schema.Schema
	words    words
}

// words is how an engine's definitions are read and names are written in them.
type words struct {
	dialect sqltoken.Dialect
	quote   func(string) string
	textual bool // views and triggers follow a rename in their text
}

func wordsOf(engine string) words {
	w := words{dialect: sqltoken.Of(engine), quote: sqliteddl.Quote}
	switch engine {
	case "postgres":
		w.quote = func(name string) string {
			if regexp.MustCompile(`^[a-z_][a-z0-9_$]*$`).MatchString(name) {
				return sqliteddl.Quote(name)
			}
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	case "mysql", "mariadb":
		w.quote = func(name string) string {
			if sqliteddl.Quote(name) == name {
				return name
			}
			return "`" + strings.ReplaceAll(name, "`", "``") + "`"
		}
	default:
		w.textual = true
	}
	return w
}

func (r renamer) apply() {
	switch r.Kind {
	case schema.KindTable:
		r.table()
	case schema.KindColumn:
		r.column()
	case schema.KindIndex:
		r.index()
	case schema.KindView:
		r.view()
	case KindLabel:
		r.label()
	}
}

// table renames a table, and what points to it.
func (r renamer) table() {
	r.eachTable(func(s *schema.Schema, t *schema.Table) {
		if s == r.schema && t.Name == r.From {
			t.Name = r.To
			t.Source = r.replace(t.Source, r.tableName)
			for _, x := range t.Indexes {
				x.Definition, x.Source = r.replace(x.Definition, r.tableName), r.replace(x.Source, r.tableName)
			}
			for _, x := range t.Triggers {
				x.Definition = r.replace(x.Definition, r.tableName)
			}
		}
		for _, c := range t.Constraints {
			if r.references(s, c.References, r.From) {
				r.redefine(c, r.replace(c.Definition, r.tableName))
				c.References.Table = r.To
			}
		}
		if r.words.textual {
			t.Source = r.replace(t.Source, r.tableName)
		}
		for i, o := range t.Options {
			if o.Name == "partition of" || o.Name == "inherits" {
				t.Options[i].Value = r.replace(o.Value, r.tableName)
			}
		}
	})
	r.ownedSequences()
	r.texts(r.From, r.tableName)
	r.needs(schema.Key{Schema: r.schema.Name, Kind: schema.KindTable, Name: r.From})
}

// column renames a column of a table, and what names it.
func (r renamer) column() {
	r.eachTable(func(s *schema.Schema, t *schema.Table) {
		own := s == r.schema && t.Name == r.Parent
		for _, c := range t.Constraints {
			r.constraintColumn(s, c, own)
		}
		if !own {
			return
		}
		for _, c := range t.Columns {
			if c.Name == r.From {
				c.Name = r.To
			}
			c.Generated = r.replace(c.Generated, r.columnName)
			if !r.words.textual { // SQLite takes a bare name there for a text
				c.Default = r.replace(c.Default, r.columnName)
			}
		}
		for _, x := range t.Indexes {
			r.each(x.Columns)
			x.Definition, x.Source = r.replace(x.Definition, r.insideName), r.replace(x.Source, r.insideName)
		}
		for _, x := range t.Triggers {
			if !r.words.dialect.Backslash { // MySQL and MariaDB leave them as they are
				x.Definition = r.replace(x.Definition, r.columnName)
			}
		}
		for _, g := range t.Grants {
			if g.Column == r.From {
				g.Column = r.To
			}
		}
		for i, o := range t.Options {
			if strings.HasPrefix(o.Name, "partition") && o.Name != "partition of" {
				t.Options[i].Value = r.replace(o.Value, r.columnName)
			}
		}
		t.Source = r.replace(t.Source, r.columnName)
	})
	r.ownedSequences()
	r.texts(r.Parent, r.columnName)
}

func (r renamer) constraintColumn(s *schema.Schema, c *schema.Constraint, own bool) {
	referring := r.references(s, c.References, r.Parent)
	if !own && !referring {
		return
	}
	r.redefine(c, r.replace(c.Definition, func(list []sqltoken.Token, i int) bool {
		behind := slices.ContainsFunc(list[:i], func(t sqltoken.Token) bool { return t.Is("REFERENCES") })
		return r.columnName(list, i) && (behind && referring || !behind && own)
	}))
	if own {
		r.each(c.Columns)
	}
	if referring {
		r.each(c.References.Columns)
	}
}

func (r renamer) index() {
	name := func(list []sqltoken.Token, i int) bool {
		return i > 0 && r.named(list[i]) && (list[i-1].Is("INDEX") || list[i-1].Is("EXISTS")) || i > 0 && r.named(list[i]) && list[i-1].IsSign(".") && i > 2 && list[i-3].Is("INDEX")
	}
	rename := func(list []*schema.Index) {
		for _, x := range list {
			if x.Name == r.From {
				x.Name, x.Definition, x.Source = r.To, r.replace(x.Definition, name), r.replace(x.Source, name)
			}
		}
	}
	if t := r.schema.Table(r.Parent); t != nil {
		rename(t.Indexes)
	}
	if v := r.schema.View(r.Parent); v != nil {
		rename(v.Indexes)
	}
}

func (r renamer) view() {
	v := r.schema.View(r.From)
	v.Name, v.Source = r.To, r.replace(v.Source, r.tableName)
	for _, x := range v.Triggers {
		x.Definition = r.replace(x.Definition, r.tableName)
	}
	for _, x := range v.Indexes {
		x.Definition = r.replace(x.Definition, r.tableName)
	}
	r.texts(r.From, r.tableName)
	r.needs(schema.Key{Schema: r.schema.Name, Kind: schema.KindView, Name: r.From})
}

// label renames a value of an enum, also where it stands as a literal of that type.
func (r renamer) label() {
	t := r.schema.Type(r.Parent)
	r.each(t.Labels)
	literal := func(sql string) string {
		return sqltoken.Replace(sql, r.words.dialect, func(list []sqltoken.Token, i int) (string, bool) {
			of := i+2 < len(list) && list[i+1].IsSign("::") &&
				(list[i+2].Names(t.Name, r.words.dialect) || i+4 < len(list) && list[i+3].IsSign(".") && list[i+4].Names(t.Name, r.words.dialect))
			return "'" + strings.ReplaceAll(r.To, "'", "''") + "'", of && list[i].Kind == sqltoken.Text && list[i].Name == r.From
		})
	}
	r.eachTable(func(_ *schema.Schema, t *schema.Table) {
		for _, c := range t.Columns {
			c.Default, c.Generated = literal(c.Default), literal(c.Generated)
		}
		for _, c := range t.Constraints {
			r.redefine(c, literal(c.Definition))
		}
		for _, x := range t.Indexes {
			x.Definition = literal(x.Definition)
		}
	})
}

func (r renamer) eachTable(visit func(*schema.Schema, *schema.Table)) {
	for _, s := range r.database.Schemas {
		for _, t := range s.Tables {
			visit(s, t)
		}
	}
}

// redefine gives a constraint another definition, which is its name where it has none.
func (r renamer) redefine(c *schema.Constraint, definition string) {
	if c.Unnamed {
		c.Name = definition
	}
	c.Definition = definition
}

// references tells whether a foreign key of a table in s points to a table of the schema.
func (r renamer) references(s *schema.Schema, to *schema.Reference, table string) bool {
	if to == nil {
		return false
	}
	same := to.Schema == r.schema.Name || to.Schema == "" && s == r.schema
	return same && (to.Table == table || r.words.textual && strings.EqualFold(to.Table, table))
}

// texts renames in what SQLite keeps as text, of views and triggers that name the table.
func (r renamer) texts(table string, at func([]sqltoken.Token, int) bool) {
	if !r.words.textual {
		return
	}
	about := func(sql string) bool {
		names := sqliteddl.Mentions(sql)
		return names[strings.ToLower(table)] || names[strings.ToLower(r.To)]
	}
	triggers := func(list []*schema.Trigger) {
		for _, t := range list {
			if about(t.Source) {
				t.Definition, t.Source = r.replace(t.Definition, at), r.replace(t.Source, at)
			}
		}
	}
	for _, v := range r.schema.Views {
		if about(v.Source) {
			v.Definition, v.Source = r.replace(v.Definition, at), r.replace(v.Source, at)
		}
		triggers(v.Triggers)
	}
	for _, t := range r.schema.Tables {
		triggers(t.Triggers)
	}
}

// ownedSequences renames in what sequences say of the column that owns them.
func (r renamer) ownedSequences() {
	for _, s := range r.schema.Sequences {
		for i, o := range s.Options {
			if o.Name != "owned by" {
				continue
			}
			s.Options[i].Value = r.replace(o.Value, func(list []sqltoken.Token, i int) bool {
				last := i == len(list)-1
				return r.named(list[i]) && last == (r.Kind == schema.KindColumn) &&
					(!last || i > 1 && list[i-2].Names(r.Parent, r.words.dialect))
			})
		}
	}
}

// needs renames in what objects need.
func (r renamer) needs(old schema.Key) {
	rename := func(list []schema.Key) {
		for i, k := range list {
			if k == old {
				list[i].Name = r.To
			}
		}
	}
	for _, i := range r.database.Items {
		rename(i.Needs)
	}
	for _, s := range r.database.Schemas {
		for _, t := range s.Tables {
			rename(t.Needs)
			for _, x := range t.Triggers {
				rename(x.Needs)
			}
			for _, x := range t.Policies {
				rename(x.Needs)
			}
			for _, x := range t.Rules {
				rename(x.Needs)
			}
		}
		for _, v := range s.Views {
			rename(v.Needs)
			for _, x := range v.Triggers {
				rename(x.Needs)
			}
		}
		for _, x := range s.Routines {
			rename(x.Needs)
		}
		for _, x := range s.Types {
			rename(x.Needs)
		}
		for _, x := range s.Items {
			rename(x.Needs)
		}
	}
}

// each renames in a list of names.
func (r renamer) each(names []string) {
	for i, n := range names {
		if n == r.From || r.words.textual && strings.EqualFold(n, r.From) {
			names[i] = r.To
		}
	}
}

// replace writes the new name in place of the tokens that are the old one.
func (r renamer) replace(sql string, at func([]sqltoken.Token, int) bool) string {
	if sql == "" {
		return ""
	}
	return sqltoken.Replace(sql, r.words.dialect, func(list []sqltoken.Token, i int) (string, bool) {
		return r.words.quote(r.To), at(list, i)
	})
}

func (r renamer) named(t sqltoken.Token) bool { return t.Names(r.From, r.words.dialect) }

// tableName tells whether a token is the table where a definition names one: behind a keyword that a
// table follows, with or without its schema, or before the name of a column.
func (r renamer) tableName(list []sqltoken.Token, i int) bool {
	if !r.named(list[i]) {
		return false
	}
	if i+1 < len(list) && list[i+1].IsSign(".") && (i == 0 || !list[i-1].IsSign(".")) {
		return true
	}
	before := i - 1
	if before > 0 && list[before].IsSign(".") {
		if !list[before-1].Names(r.schema.Name, r.words.dialect) {
			return false
		}
		before -= 2
	}
	if before < 0 {
		return true
	}
	return slices.ContainsFunc([]string{"REFERENCES", "ON", "ONLY", "FROM", "JOIN", "INTO", "UPDATE", "TABLE", "VIEW", "OF", "EXISTS", "IN"}, list[before].Is) ||
		r.words.textual && list[before].IsSign(",")
}

// columnName tells whether a token is the column, rather than a function, a type or a schema.
func (r renamer) columnName(list []sqltoken.Token, i int) bool {
	if !r.named(list[i]) || sqltoken.InType(list, i) {
		return false
	}
	return i+1 >= len(list) || !list[i+1].IsSign("(") && !list[i+1].IsSign(".")
}

// insideName is columnName behind the first parenthesis, where an index has its columns.
func (r renamer) insideName(list []sqltoken.Token, i int) bool {
	return r.columnName(list, i) && slices.ContainsFunc(list[:i], func(t sqltoken.Token) bool { return t.IsSign("(") })
}
