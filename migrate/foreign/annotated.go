package foreign

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// annotated is a format with both directions in one file, told apart by comments.
type annotated struct {
	// read sorts one line. A line that is no annotation is added to the section it stands in.
	read func(s *sections, line string) (annotation bool, err error)
}

// sections is a file being read.
type sections struct {
	up, down     []string
	into         *[]string // the section that lines are added to; nil before the first
	hasUp        bool
	hasDown      bool
	noTx         bool // for both directions
	upNoTx       bool
	downNoTx     bool
	placeholders map[string]string
	substitute   bool
}

// readAnnotated reads the files of a tool that writes both directions into one.
func (f *Folder) readAnnotated(files []file, format annotated) error {
	seen := map[string]string{}
	for _, x := range files {
		m := plainName.FindStringSubmatch(x.base())
		if m == nil || strings.Contains(x.rel, "/") {
			f.leftOut(x)
			continue
		}
		if other, ok := seen[m[1]]; ok {
			return &migrate.FolderError{Path: f.Path, Reason: fmt.Sprintf("two migrations have the version %s: %s and %s", m[1], other, x.rel), Next: "give one of them another version"}
		}
		seen[m[1]] = x.rel
		s := &sections{}
		for i, line := range strings.Split(x.text, "\n") {
			if err := s.line(format, line); err != nil {
				return &migrate.FolderError{Path: x.rel, Line: i + 1, Reason: err.Error()}
			}
		}
		if !s.hasUp {
			return &migrate.FolderError{Path: x.rel, Reason: fmt.Sprintf("has no part that %s would run forward", f.Tool)}
		}
		mig := Migration{Version: m[1], Name: m[2], File: x.rel, Up: Scripts{"": script(s.up, s.noTx || s.upNoTx)}}
		if s.hasDown {
			mig.Down = Scripts{"": script(s.down, s.noTx || s.downNoTx)}
		}
		f.Migrations = append(f.Migrations, mig)
	}
	f.sort()
	return nil
}

func script(lines []string, noTx bool) string {
	text := strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
	return withTransaction(text, noTx)
}

func (s *sections) line(format annotated, line string) error {
	annotation, err := format.read(s, line)
	if err != nil || annotation {
		return err
	}
	if s.into == nil {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "--") {
			return errors.New("stands before the first annotation")
		}
		return nil
	}
	if s.substitute {
		if line, err = substitute(line, s.placeholders, envName); err != nil {
			return err
		}
	}
	*s.into = append(*s.into, line)
	return nil
}

var (
	gooseLine  = regexp.MustCompile(`(?i)^\s*--\s*\+goose\s+(.*?)\s*$`)
	dbmateLine = regexp.MustCompile(`^\s*--\s*migrate:(up|down)\b(.*)$`)
	envName    = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(?::?-([^}]*))?\}|\$([A-Za-z_][A-Za-z0-9_]*)`)
)

// gooseFormat is goose's, see https://pressly.github.io/goose/documentation/annotations/. Statements
// between StatementBegin and StatementEnd need no mark: the scanner knows bodies.
func gooseFormat(placeholders map[string]string) annotated {
	return annotated{read: func(s *sections, line string) (bool, error) {
		s.placeholders = placeholders
		m := gooseLine.FindStringSubmatch(line)
		if m == nil {
			return false, nil
		}
		switch strings.ToLower(strings.Join(strings.Fields(m[1]), " ")) {
		case "up":
			s.into, s.hasUp = &s.up, true
		case "down":
			s.into, s.hasDown = &s.down, true
		case "no transaction":
			s.noTx = true
		case "envsub on":
			s.substitute = true
		case "envsub off":
			s.substitute = false
		case "statementbegin", "statementend":
		default:
			return true, fmt.Errorf("unknown annotation %q", strings.TrimSpace(line))
		}
		return true, nil
	}}
}

// dbmateFormat is dbmate's, see https://github.com/amacneil/dbmate#migration-options.
func dbmateFormat() annotated {
	return annotated{read: func(s *sections, line string) (bool, error) {
		m := dbmateLine.FindStringSubmatch(line)
		if m == nil {
			return false, nil
		}
		noTx := false
		for _, option := range strings.Fields(m[2]) {
			switch option {
			case "transaction:false":
				noTx = true
			case "transaction:true":
			default:
				return true, fmt.Errorf("unknown option %q", option)
			}
		}
		if m[1] == "up" {
			s.into, s.hasUp, s.upNoTx = &s.up, true, noTx
		} else {
			s.into, s.hasDown, s.downNoTx = &s.down, true, noTx
		}
		return true, nil
	}}
}

// substitute puts the values of placeholders in. One without a value is an error.
func substitute(text string, values map[string]string, pattern *regexp.Regexp) (string, error) {
	var missing error
	text = pattern.ReplaceAllStringFunc(text, func(found string) string {
		m := pattern.FindStringSubmatch(found)
		name := m[1]
		if name == "" && len(m) > 3 {
			name = m[3]
		}
		if v, ok := values[name]; ok {
			return v
		}
		if len(m) > 2 && m[2] != "" {
			return m[2] // the default in ${NAME:-default}
		}
		missing = fmt.Errorf("there is no value for %s: give one with --placeholder %s=VALUE", found, name)
		return found
	})
	return text, missing
}
