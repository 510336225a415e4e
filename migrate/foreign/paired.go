package foreign

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// dialects are the names of engines in the files of pop and of what descends from it (Ory's projects).
func dialects() map[string]migrate.Engine {
	return map[string]migrate.Engine{
		"postgres": migrate.Postgres, "mysql": migrate.MySQL, "mariadb": migrate.MariaDB,
		"sqlite": migrate.SQLite, "sqlite3": migrate.SQLite,
		"cockroach": "cockroach", "mssql": "mssql", // known, to be left out
	}
}

// dialectOf returns the dialect at the end of a name such as create_users.mysql or
// create_users.mysql.autocommit, or "".
func dialectOf(name string) string {
	words := strings.Split(strings.TrimSuffix(name, ".autocommit"), ".")
	last := words[len(words)-1]
	if _, ok := dialects()[last]; ok && len(words) > 1 {
		return last
	}
	return ""
}

// readPaired reads the files of golang-migrate and of pop: one for each direction.
func (f *Folder) readPaired(files []file) error {
	byVersion := map[string]*Migration{}
	var order []string
	for _, x := range files {
		m := pairedName.FindStringSubmatch(x.base())
		if m == nil || strings.Contains(x.rel, "/") {
			f.leftOut(x)
			continue
		}
		version, name, up := m[1], m[2], m[3] == "up"
		engine := migrate.Engine("")
		autocommit := false
		if f.Tool == Pop {
			var ok bool
			if name, engine, autocommit, ok = popName(name); !ok {
				f.Notes = append(f.Notes, fmt.Sprintf("%s is for an engine that switchback does not run on; it was left out", x.rel))
				continue
			}
		}
		mig := byVersion[version]
		if mig == nil {
			mig = &Migration{Version: version, Name: name, File: x.rel, Up: Scripts{}}
			byVersion[version] = mig
			order = append(order, version)
		}
		if mig.Name != name {
			return &migrate.FolderError{Path: f.Path, Reason: fmt.Sprintf("two migrations have the version %s: %s and %s", version, mig.Name, name), Next: "give one of them another version"}
		}
		text, err := plainScript(x, autocommit)
		if err != nil {
			return err
		}
		if err := mig.add(up, engine, text, x); err != nil {
			return err
		}
	}
	for _, v := range order {
		if err := byVersion[v].complete(f); err != nil {
			return err
		}
		f.Migrations = append(f.Migrations, *byVersion[v])
	}
	f.sort()
	return nil
}

// popName takes the dialect and the word autocommit off a name.
func popName(name string) (plain string, engine migrate.Engine, autocommit, ok bool) {
	plain, autocommit = strings.CutSuffix(name, ".autocommit")
	d := dialectOf(plain)
	if d == "" {
		return plain, "", autocommit, true
	}
	plain = strings.TrimSuffix(plain, "."+d)
	plain, before := strings.CutSuffix(plain, ".autocommit")
	engine = dialects()[d]
	return plain, engine, autocommit || before, slices.Contains(migrate.Engines(), engine)
}

func (m *Migration) add(up bool, engine migrate.Engine, text string, x file) error {
	if up {
		m.File = x.rel
	} else if m.Down == nil {
		m.Down = Scripts{}
	}
	scripts := m.Down
	if up {
		scripts = m.Up
	}
	if _, ok := scripts[engine]; ok {
		return &migrate.FolderError{Path: x.rel, Reason: "there is another file for the same version, engine and direction", Next: "remove one of them"}
	}
	scripts[engine] = text
	return nil
}

// complete makes the scripts of a migration pairs: an engine for which there is only a way back, as
// where a migration has nothing to do for it, gets an empty way forward.
func (m *Migration) complete(f *Folder) error {
	if len(m.Up) == 0 {
		return &migrate.FolderError{Path: f.Path, Reason: fmt.Sprintf("version %s has a way back but no way forward", m.Version), Next: "write the missing file, or remove the other"}
	}
	for _, e := range migrate.Engines() {
		_, up := m.Up.For(e)
		_, down := m.Down.For(e)
		if down && !up {
			m.Up[e] = "-- Nothing to do on this engine.\n"
			m.Down[e] = "-- Nothing to take back on this engine.\n"
		}
	}
	return nil
}

// irreversible tells whether there is an engine on which the migration does something that it has no
// script to take back.
func (m *Migration) irreversible() bool {
	for _, e := range migrate.Engines() {
		_, up := m.Up.For(e)
		if _, down := m.Down.For(e); up && !down {
			return true
		}
	}
	return false
}

func (f *Folder) leftOut(x file) {
	switch {
	case strings.HasSuffix(x.rel, ".sql"):
		f.Notes = append(f.Notes, fmt.Sprintf("%s is not named as %s names its migrations; it was left out", x.rel, f.Tool))
	case strings.HasSuffix(x.rel, ".go"), strings.HasSuffix(x.rel, ".fizz"), strings.HasSuffix(x.rel, ".java"):
		f.Notes = append(f.Notes, fmt.Sprintf("%s is no SQL; it was left out: write its change by hand", x.rel))
	}
}
