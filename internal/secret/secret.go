// Package secret keeps secrets out of what is shown: values of an environment in errors, details and last lines of
// output are replaced by the names of their variables.
package secret

import (
	"net/url"
	"slices"
	"strings"
)

// Values replaces the values of an environment, any of which may be a secret, by the names of their
// variables.
type Values struct{ replacer *strings.Replacer }

// shortest is how long a value has to be to be replaced. Shorter ones would be found in every other word.
const shortest = 3

// Hide returns what hides the values of an environment.
func Hide(env map[string]string) Values {
	var list []string
	for key, value := range env {
		list = append(list, key+"="+value)
	}
	return HideList(list)
}

// HideList is Hide for NAME=value.
func HideList(env []string) Values {
	type pair struct{ value, name string }
	var pairs []pair
	add := func(name string, values ...string) {
		for _, v := range values {
			if len(v) >= shortest {
				pairs = append(pairs, pair{v, "$" + name})
			}
		}
	}
	for _, e := range env {
		key, value, _ := strings.Cut(e, "=")
		add(key, value, url.QueryEscape(value), url.PathEscape(value))
		if lines := strings.Split(value, "\n"); len(lines) > 1 {
			add(key, lines...)
		}
		if u, err := url.Parse(value); err == nil && u.User != nil {
			password, _ := u.User.Password()
			add(key, password, url.PathEscape(password), url.QueryEscape(password))
		}
	}
	// The longest first: a value may be part of another.
	slices.SortStableFunc(pairs, func(a, b pair) int { return len(b.value) - len(a.value) })
	var list []string
	for _, p := range pairs {
		list = append(list, p.value, p.name)
	}
	return Values{strings.NewReplacer(list...)}
}

// Text takes the values out of a text.
func (s Values) Text(t string) string { return s.replacer.Replace(t) }

// In takes the values out of an error's text.
func (s Values) In(err error) error {
	if err == nil {
		return nil
	}
	if shown := s.Text(err.Error()); shown != err.Error() {
		return &hidden{text: shown, err: err}
	}
	return err
}

// hidden is an error that shows another text.
type hidden struct {
	text string
	err  error
}

func (h *hidden) Error() string { return h.text }
func (h *hidden) Unwrap() error { return h.err }
