package noun

import (
	"encoding/json"
	"slices"
	"strings"
)

// Noun is one type of business object: its names, what its instances hold, and what can be done to them.
//
// A Noun comes from Define or from a Registry; the lookups of one built by hand find nothing. It does not change after
// it was made, so it may be shared between goroutines; callers must not change it or anything it points to.
type Noun struct {
	Name        string // PascalCase: FeatureFlag
	Singular    string // feature flag
	Plural      string // feature flags
	Domain      string // CRM, Billing …
	IDPrefix    string // featureflag
	Description string
	Slugs       Slugs

	Fields        []Field        // in order of declaration
	Relationships []Relationship // declared ones in order; those of a Registry's nouns are followed by the derived inverses
	Verbs         []Verb         // custom verbs in order of declaration
	Disabled      []string       // switched-off verbs among create, update, delete

	idLength int
	order    []string          // names of the columns as declared
	was      map[string]string // names that columns had before, and those they have now
	columns  []Column
	column   map[string]int // place in columns
	relation map[string]int // place in Relationships
	verb     map[string]int // place in Verbs, by lower-cased action
}

// Slugs are the spellings of a noun in addresses. All are accepted; Type is what the service prints.
type Slugs struct {
	Type       string   // FeatureFlag
	Collection string   // feature-flags
	Singular   string   // feature-flag
	RPC        string   // featureFlags
	Aliases    []string // the rest
}

// Field is one declared scalar of a noun.
type Field struct {
	Name         string
	Kind         Kind
	Required     bool
	Indexed      bool // # or ##
	Unique       bool // ##: within one tenant
	Array        bool
	Enum         []string // the closed set of an enum, in order
	AlsoAccepted []string // values outside the declared enum that are stored all the same
	Default      string   // text of the value that a create without the field takes; "" = none
	Precision    int      // of a decimal; 0 = not stated
	Scale        int      // of a decimal
	Doc          string
}

// Accepts says whether the value belongs to the enum. Case counts. A field that is no enum accepts everything.
func (f *Field) Accepts(value string) bool {
	return f.Kind != Enum || slices.Contains(f.Enum, value) || slices.Contains(f.AlsoAccepted, value)
}

// Literal is the JSON text of a Default or of an Effect's Value for this field: bare for numbers, booleans and json,
// quoted for the rest.
func (f *Field) Literal(text string) string {
	if f.Kind.Bare() || f.Array {
		return text
	}
	return quote(text)
}

// Relationship is one edge from a noun, seen from that noun.
type Relationship struct {
	Name     string
	Forward  bool   // -> or ~>: the key of the target is stored here
	Fuzzy    bool   // ~> or <~: matched by similarity
	Target   string // noun at the other end
	Inverse  string // name of the same edge on the target; set for every relationship of a Registry's nouns
	Many     bool
	Derived  bool   // not declared here: it exists because the target declares the forward side
	Via      string // reverse only: the forward relationship of the target that holds the key
	Required bool   // forward only
	Doc      string

	named string // the other side's name as the declaration gives it; "" = none
}

// Verb is a custom verb, or the forms of create, update and delete.
type Verb struct {
	Action   string // qualify: the call
	Act      string // qualifies: display
	Activity string // qualifying: before hook
	Event    string // qualified: after hook
	Declared string // Qualified: event type

	ReverseBy string // qualifiedBy: who
	ReverseAt string // qualifiedAt: when
	ReverseIn string // qualifiedIn: in which context

	Effects []Effect // what it writes after its body was merged, in order
	Stamp   string   // datetime field that takes the time of the verb when the body gives none; "" = none
	Merges  bool     // the body is merged into the entity; false: the body is only the event's input
	Doc     string
}

// EffectOp is what an Effect does to its field.
type EffectOp uint8

const (
	Set  EffectOp = iota + 1 // write Value
	Inc                      // add By to the number, absent counting as 0
	Next                     // move to the element of Steps after the present value; stay on the last
)

// Effect is one field that a verb writes. It wins over the body, except where it Yields.
type Effect struct {
	Field  string
	Op     EffectOp
	Value  string   // Set: as text; Field.Literal gives its JSON
	By     float64  // Inc
	Steps  []string // Next; a value that is not among them moves to the first
	Yields bool     // not applied when the body gives the field a value
}

// Column is one stored column: a declared field or a forward relationship. Exactly one of Field and Relationship is set.
type Column struct {
	Name         string
	Kind         Kind // ID for a relationship
	Required     bool
	Field        *Field
	Relationship *Relationship
}

// Columns gives the declared fields and the forward relationships, in order of declaration. The slice is shared.
func (n *Noun) Columns() []Column { return n.columns }

// Column finds a column by its exact name.
func (n *Noun) Column(name string) (Column, bool) {
	i, ok := n.column[name]
	if !ok {
		return Column{}, false
	}
	return n.columns[i], true
}

// Was gives the names that columns had before they were renamed, each with the name it has now; nil where there are none. The
// map is shared.
func (n *Noun) Was() map[string]string { return n.was }

// Current gives the name that a column has now, for one it has or had; any other name as it is.
func (n *Noun) Current(name string) string {
	if now, old := n.was[name]; old {
		return now
	}
	return name
}

// Field finds a declared field by its exact name.
func (n *Noun) Field(name string) (*Field, bool) {
	c, _ := n.Column(name)
	return c.Field, c.Field != nil
}

// Relationship finds a forward, reverse or derived relationship by its exact name. Derived ones exist on the nouns of a
// Registry only.
func (n *Noun) Relationship(name string) (*Relationship, bool) {
	i, ok := n.relation[name]
	if !ok {
		return nil, false
	}
	return &n.Relationships[i], true
}

// Verb finds a custom verb by its action, in any casing. Other forms (qualifying, qualified) and create, update and
// delete are not found.
func (n *Noun) Verb(action string) (*Verb, bool) {
	i, ok := n.verb[action]
	if !ok {
		i, ok = n.verb[strings.ToLower(action)]
	}
	if !ok {
		return nil, false
	}
	return &n.Verbs[i], true
}

// Can says whether create, update or delete is allowed.
func (n *Noun) Can(crud string) bool { return !slices.Contains(n.Disabled, crud) }

// Uniques gives the unique fields in order of declaration: the natural keys of the noun.
func (n *Noun) Uniques() []*Field {
	var out []*Field
	for i := range n.Fields {
		if n.Fields[i].Unique {
			out = append(out, &n.Fields[i])
		}
	}
	return out
}

// Searchable gives the names of the fields that $text looks at: indexed text, and name, title and subject.
func (n *Noun) Searchable() []string {
	var out []string
	for i := range n.Fields {
		f := &n.Fields[i]
		titled := f.Name == "name" || f.Name == "title" || f.Name == "subject"
		if f.Kind.Text() && !f.Array && (f.Indexed || titled) {
			out = append(out, f.Name)
		}
	}
	return out
}

// Table is the name of the noun's table: its name lower-cased.
func (n *Noun) Table() string { return strings.ToLower(n.Name) }

// finish prepares the lookups, after Fields, Relationships and Verbs are final.
func (n *Noun) finish() {
	n.columns = make([]Column, len(n.order))
	n.column = make(map[string]int, len(n.order))
	for i, name := range n.order {
		n.column[name] = i
	}
	for i := range n.Fields {
		f := &n.Fields[i]
		n.columns[n.column[f.Name]] = Column{Name: f.Name, Kind: f.Kind, Required: f.Required, Field: f}
	}
	n.relation = make(map[string]int, len(n.Relationships))
	for i := range n.Relationships {
		r := &n.Relationships[i]
		n.relation[r.Name] = i
		if r.Forward {
			n.columns[n.column[r.Name]] = Column{Name: r.Name, Kind: ID, Required: r.Required, Relationship: r}
		}
	}
	n.verb = make(map[string]int, len(n.Verbs))
	for i, v := range n.Verbs {
		n.verb[strings.ToLower(v.Action)] = i
	}
}

// quote makes a JSON string. It cannot fail: every Go string has one.
func quote(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text)
	return strings.TrimSuffix(b.String(), "\n")
}
