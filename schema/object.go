package schema

// Kind is the kind of an object, such as "table".
type Kind string

// The kinds of object that have a struct of their own. An Item brings its own kind along.
const (
	KindSetting    Kind = "setting"
	KindSchema     Kind = "schema"
	KindTable      Kind = "table"
	KindColumn     Kind = "column"
	KindIndex      Kind = "index"
	KindConstraint Kind = "constraint"
	KindTrigger    Kind = "trigger"
	KindView       Kind = "view"
	KindRoutine    Kind = "routine"
	KindType       Kind = "type"
	KindSequence   Kind = "sequence"
	KindPolicy     Kind = "policy"
	KindRule       Kind = "rule"
	KindGrant      Kind = "grant"
)

// The kinds of Item.
const (
	KindExtension         Kind = "extension"
	KindLanguage          Kind = "language"
	KindEvent             Kind = "event"
	KindPackage           Kind = "package"
	KindEventTrigger      Kind = "event trigger"
	KindPublication       Kind = "publication"
	KindSubscription      Kind = "subscription"
	KindWrapper           Kind = "foreign data wrapper"
	KindServer            Kind = "foreign server"
	KindUserMapping       Kind = "user mapping"
	KindCollation         Kind = "collation"
	KindConversion        Kind = "conversion"
	KindCast              Kind = "cast"
	KindTransform         Kind = "transform"
	KindOperator          Kind = "operator"
	KindOperatorClass     Kind = "operator class"
	KindOperatorFamily    Kind = "operator family"
	KindAccessMethod      Kind = "access method"
	KindSearchParser      Kind = "text search parser"
	KindSearchTemplate    Kind = "text search template"
	KindSearchDictionary  Kind = "text search dictionary"
	KindSearchConfig      Kind = "text search configuration"
	KindStatistics        Kind = "statistics"
	KindDefaultPrivileges Kind = "default privileges"
)

// Object is a node of the model.
type Object interface {
	Kind() Kind
	// ObjectName is unique among the objects of its kind below the same parent.
	ObjectName() string
	// Properties are what the object is like, apart from its children, in a fixed order. Empty values
	// stand for the engine's default.
	Properties() []Property
	// Children are the objects that belong to this one.
	Children() []Object
}

// Property is one thing that two objects of the same name may differ in.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Properties that objects of many kinds have; filters go by these names.
const (
	PropertyOwner   = "owner"
	PropertyComment = "comment"
)

// Value returns the value of the property of that name, or "".
func Value(list []Property, name string) string {
	for _, p := range list {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Key names an object of a schema, or one of the whole database when the schema is empty. With an empty
// kind it is the schema itself. A part of a table, such as a column or a constraint, that something else
// stands on has the name "table.part".
type Key struct {
	Schema string `json:"schema,omitempty"`
	Kind   Kind   `json:"kind,omitempty"`
	Name   string `json:"name,omitempty"`
}

func flag(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func objects[T Object](list []T) []Object {
	out := make([]Object, len(list))
	for i, o := range list {
		out[i] = o
	}
	return out
}

func concat(lists ...[]Object) []Object {
	var out []Object
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func find[T Object](list []T, name string) (found T) {
	for _, o := range list {
		if o.ObjectName() == name {
			return o
		}
	}
	return found
}
