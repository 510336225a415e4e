package main

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/snapshot"
)

func maskFlag() cli.Flag {
	return &cli.StringFlag{Name: "mask", Usage: "`FILE` with rules for columns that get other values, for staging; see docs/snapshots.md"}
}

// mask reads the rules that --mask names; nil without it. ${NAME} stands for a variable of the environment.
func mask(c *cli.Context) (*snapshot.Mask, error) {
	name := c.String("mask")
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--mask: %w", err)
	}
	text, err := config.Substitute(string(data))
	if err != nil {
		return nil, fmt.Errorf("--mask %s: %w", name, err)
	}
	m, err := snapshot.ParseMask([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("--mask %s: %w\n  state: nothing was changed\n  next: correct the file", name, err)
	}
	return m, nil
}
