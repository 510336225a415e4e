package analysis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// counted compares what the router counted for the candidate and for the stable version since the window began.
type counted struct {
	router  strategies.Measurer
	samples float64       // of the candidate, for a judgement
	errors  float64       // the share of requests that may fail more than on the stable version
	p99     time.Duration // of the candidate, at most; 0 for any
	slower  float64       // times the p99 of the stable version; 0 for any
	begun   map[string]strategies.Measure
}

// leastSlower is by how much a p99 has to be longer to be called so: a few milliseconds more say nothing.
const leastSlower = 5 * time.Millisecond

func newCounted(s *spec, r strategies.Router) (strategies.Judge, error) {
	m, ok := r.(strategies.Measurer)
	if !ok {
		return nil, errors.New("this router does not count requests: proxy does, and an NGINX does with release.router.log\n  next: make it a gate of the kind prometheus, http, sql or exec, see docs/releases.md")
	}
	j := &counted{router: m}
	var problems [4]error
	j.samples, problems[0] = s.number("samples", 50)
	j.errors, problems[1] = s.number("errors", 0.01)
	j.p99, problems[2] = s.duration("p99")
	j.slower, problems[3] = s.number("slower", 0)
	return j, errors.Join(problems[:]...)
}

// Judge implements strategies.Judge. The first call only notes where the counters stand.
func (j *counted) Judge(ctx context.Context, w strategies.Window) (v strategies.Verdict, err error) {
	now, err := j.router.Measure(ctx)
	if err != nil {
		return v, err
	}
	by := map[string]strategies.Measure{}
	for _, m := range now {
		by[m.Address] = m
	}
	if j.begun == nil {
		j.begun = by
		return strategies.Verdict{Outcome: strategies.NoData, Says: "counting from now"}, nil
	}
	green := since(j.begun[w.Green.Address], by[w.Green.Address])
	var blue strategies.Measure
	if w.Blue != nil {
		blue = since(j.begun[w.Blue.Address], by[w.Blue.Address])
	}
	says := "candidate: " + summary(green)
	if blue.Requests > 0 {
		says += "; stable: " + summary(blue)
	}
	v = strategies.Verdict{Outcome: strategies.Good, Says: says, Figures: figures(green, blue)}
	if float64(green.Requests) < j.samples {
		v.Outcome, v.Says = strategies.NoData, fmt.Sprintf("%s; %g are needed", says, j.samples)
	} else if why := j.worse(green, blue); why != "" {
		v.Outcome, v.Says = strategies.Bad, why+" ("+says+")"
	}
	return v, nil
}

// figures are those of both versions.
func figures(green, blue strategies.Measure) map[string]float64 {
	list := map[string]float64{}
	for prefix, m := range map[string]strategies.Measure{"candidate_": green, "stable_": blue} {
		list[prefix+"requests"] = float64(m.Requests)
		list[prefix+"failed_ratio"] = share(m)
		list[prefix+"p99_seconds"] = quantile(m.Latency, 0.99).Seconds()
	}
	return list
}

// worse says in what the candidate is worse than allowed.
func (j *counted) worse(green, blue strategies.Measure) string {
	if got, may := share(green), share(blue)+j.errors; got > may {
		return fmt.Sprintf("%.2f %% of the requests failed where %.2f %% may", got*100, may*100)
	}
	p99 := quantile(green.Latency, 0.99)
	if j.p99 > 0 && p99 > j.p99 {
		return fmt.Sprintf("the p99 is %s where %s may be", brief(p99), j.p99)
	}
	if limit := time.Duration(j.slower * float64(quantile(blue.Latency, 0.99))); j.slower > 0 && blue.Requests > 0 && p99 > max(limit, quantile(blue.Latency, 0.99)+leastSlower) {
		return fmt.Sprintf("the p99 is %s where %s may be, %g times that of the stable version", brief(p99), brief(limit), j.slower)
	}
	return ""
}

// since is what was counted between two measures. A router that was started anew in between counts from its start.
func since(before, now strategies.Measure) strategies.Measure {
	if now.Requests < before.Requests {
		return now
	}
	out := strategies.Measure{Address: now.Address, Requests: now.Requests - before.Requests, Failed: now.Failed - before.Failed, Latency: map[time.Duration]uint64{}}
	for upper, n := range now.Latency {
		if n > before.Latency[upper] {
			out.Latency[upper] = n - before.Latency[upper]
		}
	}
	return out
}

func share(m strategies.Measure) float64 {
	if m.Requests == 0 {
		return 0
	}
	return float64(m.Failed) / float64(m.Requests)
}

// quantile is the upper end of the bucket that holds the q-th part of what was counted.
func quantile(latency map[time.Duration]uint64, q float64) time.Duration {
	var uppers []time.Duration
	var total, seen uint64
	for upper, n := range latency {
		uppers, total = append(uppers, upper), total+n
	}
	if total == 0 {
		return 0
	}
	slices.Sort(uppers)
	rank := uint64(q*float64(total-1)) + 1
	for _, upper := range uppers {
		if seen += latency[upper]; seen >= rank {
			return upper
		}
	}
	return uppers[len(uppers)-1]
}

func summary(m strategies.Measure) string {
	return fmt.Sprintf("%d of %d requests failed, p99 %s", m.Failed, m.Requests, brief(quantile(m.Latency, 0.99)))
}

func brief(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(time.Microsecond)
	}
	return d.Round(time.Millisecond / 10)
}
