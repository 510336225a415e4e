package strategies

import (
	"fmt"
	"strconv"
	"strings"
)

// CheckPace tells whether the words of a pace make sense by themselves, whoever is to keep it. The error is a
// *PaceError.
func CheckPace(p Pace) error {
	for _, n := range []struct {
		word  string
		value int64
	}{
		{"replicas", int64(p.Replicas)},
		{"parallelism", int64(p.Parallelism)},
		{"delay", int64(p.Delay)},
		{"monitor", int64(p.Monitor)},
	} {
		if n.value < 0 {
			return &PaceError{n.word, "is less than nothing"}
		}
	}
	if p.Order != "" && p.Order != StartFirst && p.Order != StopFirst {
		return &PaceError{"order", fmt.Sprintf("is %q; want %s or %s", p.Order, StartFirst, StopFirst)}
	}
	if err := checkAmount("surge", p.Surge); err != nil {
		return err
	}
	return checkAmount("unavailable", p.Unavailable)
}

// checkAmount tells whether an amount is a number, or a share in percent.
func checkAmount(word, amount string) error {
	if amount == "" {
		return nil
	}
	number, percent := strings.CutSuffix(amount, "%")
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || percent && n > 100 {
		return &PaceError{word, fmt.Sprintf("is %q; want a number of instances, or a share such as 25%%", amount)}
	}
	return nil
}
