package main

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/drivers/source"
)

// sourceHelp says what a source is, in the help of commands that take one.
const sourceHelp = `A source is a database URL, env:NAME for an environment of switchback.yaml, snapshot:ID, a saved
schema.json, empty, or files: SQL (a file, a folder, a dump of pg_dump or mysqldump), Atlas HCL, a
folder of changes (changes:DIR@CHANGE:PHASE for a state on the way) or another tool's migrations. Files
are run in a scratch database, SQLite in memory unless --scratch says where; it is always dropped.`

// sourceFlags are the flags of a command that reads sources.
func sourceFlags(more ...cli.Flag) []cli.Flag {
	return append(append(outputFlags(),
		&cli.StringFlag{Name: "scratch", Usage: "where files are run: the `URL` of a server where databases may be created, or docker:IMAGE such as docker:postgres:17", EnvVars: []string{"SWITCHBACK_SCRATCH"}},
		placeholderFlag(),
	), more...)
}

func placeholderFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "placeholder", Usage: "`NAME=VALUE` for a ${NAME} in another tool's migrations; can be repeated"}
}

// reader returns what reads the sources of a command, with its configuration and flags. It has to be closed.
func (p *project) reader(c *cli.Context) (*source.Reader, error) {
	placeholders, err := pairs(c, "placeholder")
	if err != nil {
		return nil, err
	}
	name := p.config.Snapshots.Store
	store, err := openStore(name)
	if err != nil {
		return nil, err
	}
	keys, err := identities(c)
	if err != nil {
		return nil, err
	}
	return &source.Reader{
		Scratch: c.String("scratch"),
		Environment: func(name string) (string, error) {
			env, err := p.config.Environment(name)
			return env.URL, err
		},
		Changes:      p.config.Changes,
		Snapshots:    store,
		Keys:         keys,
		Placeholders: placeholders,
		Progress:     func(text string) { p.out.line("  … %s", text) },
	}, nil
}

// source reads one source, and says what was left out of it.
func (p *project) source(c *cli.Context, name string) (_ *source.Source, err error) {
	r, err := p.reader(c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	s, err := r.Read(c.Context, name)
	if err == nil {
		p.noteSources(s)
	}
	return s, err
}

// sources reads two sources that are compared.
func (p *project) sources(c *cli.Context, from, to string) (a, b *source.Source, err error) {
	r, err := p.reader(c)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	a, b, err = r.ReadPair(c.Context, from, to)
	if err == nil {
		p.noteSources(a, b)
	}
	return a, b, err
}

func (p *project) noteSources(list ...*source.Source) {
	for _, s := range list {
		for _, n := range s.Notes {
			p.out.line("note: %s", n)
		}
	}
}
