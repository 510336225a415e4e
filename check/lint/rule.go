package lint

import (
	"slices"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
)

// Rule is one thing lint looks for.
type Rule struct {
	Name     string
	Severity check.Severity
	Summary  string // what it finds, in a few words
	Why      string // what would happen
	Examples []Example
	cost     cost // of a statement that breaks it

	// One of these looks; the others are nil.
	statement func(s *statement) []hit
	script    func(s *script) []hit
	observed  func(s *statement, o Observation) []hit
	// fix rewrites a statement that the rule fires on; nil where that is no matter of the statement alone.
	fix func(s *statement) (repair, bool)
}

// Example shows a rule on an engine, and is the test of it.
type Example struct {
	Engine migrate.Engine
	Before string   // the schema before; where it is empty, Schema has a table users
	Bad    string   // the rule fires
	Good   string   // no rule fires, and it comes to the same
	Also   []string // rules that fire on Bad too
	// Foreign is set where the rule is about other tools' migrations only.
	Foreign bool
	// Refused is set where the server itself refuses Bad.
	Refused bool
	// OneWay is set where the rule is about what is not there: a rollback script.
	OneWay bool
}

// Schema is what the example begins with.
func (e Example) Schema() string {
	if e.Before == "" {
		return usersBefore
	}
	return e.Before
}

// hit is a place where a rule fires.
type hit struct {
	message string
	object  string
	rewrite string // instead of the good example
	line    int    // instead of the statement's
	touch   *check.Touch
}

// Observed tells whether the rule needs a scratch database.
func (r Rule) Observed() bool { return r.observed != nil }

// Engines are those that the rule is for, in their usual order.
func (r Rule) Engines() []migrate.Engine {
	var list []migrate.Engine
	for _, e := range migrate.Engines() {
		if r.example(e) != nil {
			list = append(list, e)
		}
	}
	return list
}

// example is the one that is shown for an engine, nil where the rule is not for it.
func (r Rule) example(e migrate.Engine) *Example {
	for i := range r.Examples {
		if r.Examples[i].Engine == e {
			return &r.Examples[i]
		}
	}
	return nil
}

// Rules are all rules, in the order in which they are documented.
func Rules() []Rule {
	return slices.Concat(observedRules(), indexRules(), constraintRules(), transactionRules(), compatibilityRules(),
		lossRules(), keptRules(), typeRules(), securityRules(), secondEngineRules(), familyRules(), scriptRules())
}

// Find returns the rule of that name.
func Find(name string) (Rule, bool) {
	list := Rules()
	i := slices.IndexFunc(list, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, false
	}
	return list[i], true
}

// on repeats an example for several engines.
func on(e Example, engines ...migrate.Engine) []Example {
	var list []Example
	for _, engine := range engines {
		e.Engine = engine
		list = append(list, e)
	}
	return list
}
