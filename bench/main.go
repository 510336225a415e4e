// Command bench measures switchback side by side with what a user would pick instead, in one run on one
// machine, and prints ratios: ours divided by theirs, so that below 1 is faster for times, and above 1
// for rates. Each figure is the median of several rounds that take turns; the spread is printed beside.
//
//	make bench                      everything
//	make bench CASES=migrations     one case, or several, with commas; go run ./bench -help names them
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
	"strconv"
	"strings"
	"time"
)

// bencher is what a case works with.
type bencher struct {
	rounds  int
	scale   float64 // of the amounts, for a quick look
	report  *report
	engines []string      // whose catalogues are read
	part    string        // of a case, by its name
	tables  []int         // how many tables these have
	limit   time.Duration // for each peer that reads one
	patient time.Duration // with each peer that changes a table
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
	all := benchCases()
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = c.name
	}
	cases := flag.String("cases", strings.Join(names, ","), "which to run")
	rounds := flag.Int("rounds", 3, "rounds of each")
	scale := flag.Float64("scale", 1, "scales the amounts, for a quick look")
	tables := flag.String("tables", "100,1000,10000", "numbers of tables in the catalogues of the case inspect")
	engines := flag.String("engines", "postgres,mysql,sqlite", "those of the cases inspect, recipes, snapshots and swap")
	part := flag.String("part", "", "of the case recipes what has this in its name: a kind of operation, or rollback; of snapshots 1 tables or 200 tables")
	limit := flag.Duration("limit", time.Minute, "for each reading and comparison by the peers of the case inspect")
	patience := flag.Duration("patience", 20*time.Minute, "for each peer of the case recipes; of one that takes longer counts what it has copied by then")
	flag.Parse()
	switch flag.Arg(0) {
	case "once":
		return inspectOnce(ctx, flag.Args()[1:])
	case "serve":
		return serveVersion(flag.Arg(1))
	}
	b := &bencher{rounds: *rounds, scale: *scale, report: &report{out: os.Stdout}, limit: *limit, patient: *patience, engines: strings.Split(*engines, ","), part: *part}
	for _, text := range strings.Split(*tables, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-tables %s: %w", *tables, err)
		}
		b.tables = append(b.tables, b.amount(n))
	}
	for _, c := range all {
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

// benchCase is something that is measured.
type benchCase struct {
	name string
	run  func(context.Context, *bencher) error
}

func benchCases() []benchCase {
	return []benchCase{
		{"migrations", migrations},
		{"backfill", backfills},
		{"proxy", proxies},
		{"idle", idles},
		{"cutover", cutovers},
		{"journal", journals},
		{"record", recordings},
		{"inspect", inspections},
		{"data", dataComparison},
		{"recipes", recipes},
		{"snapshots", snapshots},
		{"swap", swaps},
		{"check", checks},
	}
}

// amount scales a number of things.
func (b *bencher) amount(n int) int { return max(1, int(float64(n)*b.scale)) }
