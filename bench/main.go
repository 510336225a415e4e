// Command bench measures switchback side by side with what a user would pick instead, in one run on one
// machine, and prints ratios: ours divided by theirs, so that below 1 is faster for times, and above 1
// for rates. Each figure is the median of several rounds that take turns; the spread is printed beside.
//
//	make bench                      everything
//	make bench CASES=migrations     one case: migrations, backfill, proxy, inspect, data, recipes
//
// `make bench` starts the servers it needs. None of it is a test: machines differ.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// bencher is what a case works with.
type bencher struct {
	rounds int
	scale  float64 // of the amounts, for a quick look
	report *report
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cases := flag.String("cases", "migrations,backfill,proxy,inspect,data,recipes", "which to run")
	rounds := flag.Int("rounds", 3, "rounds of each")
	scale := flag.Float64("scale", 1, "scales the amounts, for a quick look")
	flag.Parse()
	b := &bencher{rounds: *rounds, scale: *scale, report: &report{out: os.Stdout}}
	for _, c := range []struct {
		name string
		run  func(context.Context, *bencher) error
	}{{"migrations", migrations}, {"backfill", backfills}, {"proxy", proxies}, {"inspect", inspections}, {"data", dataComparison}, {"recipes", recipes}} {
		if !slices.Contains(strings.Split(*cases, ","), c.name) {
			continue
		}
		begun := time.Now()
		if err := c.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		fmt.Printf("(%s took %s)\n\n", c.name, time.Since(begun).Round(time.Second))
	}
	return nil
}

// amount scales a number of things.
func (b *bencher) amount(n int) int { return max(1, int(float64(n)*b.scale)) }
