package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// reorder moves the flags of a command in front of its arguments, so that they may stand anywhere, as
// in `switchback new add_email --json`. What follows a "--" stays where it is.
func reorder(commands []*cli.Command, args []string) []string {
	head, rest := args[:1:1], args[1:]
	var command *cli.Command
	for len(rest) > 0 {
		next := find(commands, rest[0])
		if next == nil {
			break
		}
		command, commands = next, next.Subcommands
		head, rest = append(head, rest[0]), rest[1:]
	}
	if command == nil {
		return args
	}
	var flags, positional []string
	for len(rest) > 0 {
		arg := rest[0]
		rest = rest[1:]
		switch {
		case arg == "--":
			positional = append(positional, "--")
			positional = append(positional, rest...)
			rest = nil
		case !strings.HasPrefix(arg, "-") || arg == "-":
			positional = append(positional, arg)
		default:
			flags = append(flags, arg)
			if takesValue(command, arg) && len(rest) > 0 {
				flags = append(flags, rest[0])
				rest = rest[1:]
			}
		}
	}
	return append(append(head, flags...), positional...)
}

func find(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// takesValue tells whether a flag of the command is followed by its value.
func takesValue(command *cli.Command, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if strings.ContainsRune(name, '=') {
		return false
	}
	for _, f := range command.Flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool
		}
	}
	return false
}
