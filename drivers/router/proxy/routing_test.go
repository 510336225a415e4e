package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/strategies"
)

// backends draws a list that is often valid and often nearly so.
func backends() *rapid.Generator[[]strategies.Backend] {
	one := rapid.Custom(func(t *rapid.T) strategies.Backend {
		return strategies.Backend{
			Slot:    rapid.SampledFrom([]strategies.Slot{strategies.Blue, strategies.Green, "red"}).Draw(t, "slot"),
			Release: rapid.String().Draw(t, "release"),
			Address: rapid.SampledFrom([]string{"127.0.0.1:1", "127.0.0.1:2", "[::1]:3", "app:4", "app", ":5", "app:0"}).Draw(t, "address"),
			Weight:  rapid.SampledFrom([]int{-1, 0, 1, 40, 60, 99, 100, 101}).Draw(t, "weight"),
		}
	})
	return rapid.Custom(func(t *rapid.T) []strategies.Backend {
		weight := rapid.IntRange(0, 100).Draw(t, "green's weight")
		list := []strategies.Backend{
			{Slot: strategies.Blue, Address: "127.0.0.1:1", Weight: 100 - weight},
			{Slot: strategies.Green, Address: "[::1]:2", Weight: weight},
		}
		switch rapid.IntRange(0, 3).Draw(t, "what to spoil") {
		case 0:
			list[rapid.IntRange(0, 1).Draw(t, "which")] = one.Draw(t, "other")
		case 1:
			list = rapid.SliceOfN(one, 0, 3).Draw(t, "others")
		}
		return list
	})
}

func TestValidateProperties(t *testing.T) {
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		list := backends().Draw(t, "backends")
		err := strategies.CheckBackends(list)
		if err != nil {
			if !errors.Is(err, strategies.ErrInvalidRouting) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		valid++
		sum, slots, addresses := 0, map[strategies.Slot]bool{}, map[string]bool{}
		for _, b := range list {
			sum += b.Weight
			slots[b.Slot], addresses[b.Address] = true, true
			if b.Weight < 0 || b.Slot == "red" {
				t.Fatalf("accepted %+v", b)
			}
		}
		if sum != 100 || len(slots) != len(list) || len(addresses) != len(list) {
			t.Fatalf("accepted %+v", list)
		}
	})
	require.Positive(t, valid, "the generator draws valid lists too")
}

func TestStateComesBackAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	rapid.Check(t, func(t *rapid.T) {
		want := strategies.Routing{
			Backends: []strategies.Backend{{
				Slot:    strategies.Blue,
				Release: rapid.String().Draw(t, "release"),
				Version: rapid.String().Draw(t, "version"),
				Address: fmt.Sprintf("127.0.0.1:%d", rapid.IntRange(1, 65535).Draw(t, "port")),
				Weight:  100,
			}},
			Generation: rapid.Int64().Draw(t, "generation"),
			Operation:  rapid.String().Draw(t, "operation"),
			Fence:      rapid.Int64().Draw(t, "fence"),
		}
		if err := writeState(path, want); err != nil {
			t.Fatal(err)
		}
		got, err := readState(path)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		if string(a) != string(b) {
			t.Fatalf("wrote %s, read %s", a, b)
		}
	})
}

func TestPickProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weight := rapid.IntRange(0, 100).Draw(t, "green's weight")
		blueUp, greenUp := rapid.Bool().Draw(t, "blue healthy"), rapid.Bool().Draw(t, "green healthy")
		blue, green := newBackend("b:1", Timeouts{}), newBackend("g:1", Timeouts{})
		blue.health.failing.Store(!blueUp)
		green.health.failing.Store(!greenUp)
		tab := &table{routes: []route{
			{spec: strategies.Backend{Weight: 100 - weight}, backend: blue},
			{spec: strategies.Backend{Weight: weight}, backend: green},
		}}
		for range 20 {
			switch got := tab.pick(nil); {
			case got == nil:
				t.Fatal("some backend always has weight")
			case got == green && weight == 0, got == blue && weight == 100:
				t.Fatal("picked a backend without weight")
			case got == green && !greenUp && blueUp && weight < 100:
				t.Fatal("picked failing green although blue is healthy")
			case got == blue && !blueUp && greenUp && weight > 0:
				t.Fatal("picked failing blue although green is healthy")
			}
		}
		if got := tab.pick([]*backend{blue, green}); got != nil {
			t.Fatal("picked a backend that was tried")
		}
	})
}

func TestHealthNeedsStreaks(t *testing.T) {
	var h health
	h.init()
	bad := fmt.Errorf("down")
	steps := []struct {
		probe error
		up    bool
	}{
		{bad, true},
		{bad, true},
		{nil, true}, // the streak starts anew
		{bad, true},
		{bad, true},
		{bad, false},
		{nil, false},
		{bad, false},
		{nil, false},
		{nil, true},
	}
	for i, s := range steps {
		h.record(s.probe, 2, 3)
		require.Equal(t, s.up, h.up(), "after probe %d", i+1)
	}
}

func TestHistogramIsWithinItsStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.Uint64Range(0, 3_600_000_000).Draw(t, "microseconds")
		i := bucketOf(us)
		if bucketUpper(i) < us {
			t.Fatalf("%d lies above its bucket, which ends at %d", us, bucketUpper(i))
		}
		if i > 0 && bucketUpper(i-1) >= us {
			t.Fatalf("%d lies in the bucket before, which ends at %d", us, bucketUpper(i-1))
		}
		if float64(bucketUpper(i)-us) > float64(us)/subBuckets {
			t.Fatalf("%d is given as %d", us, bucketUpper(i))
		}
	})
	var h histogram
	require.Zero(t, h.quantile(0.5))
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	require.InEpsilon(t, 500*time.Millisecond, h.quantile(0.50), 0.13)
	require.InEpsilon(t, 990*time.Millisecond, h.quantile(0.99), 0.13)
}
