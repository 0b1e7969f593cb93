package noun

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Declaration is a noun as people write it. Define makes the Noun.
type Declaration struct {
	Name        string // PascalCase
	Domain      string
	Description string

	// Properties has one property a line, in order: name, colon, notation (see Parse), and optionally "//" and a
	// sentence about it.
	//
	//	email:    string##               // Main address.
	//	stage:    enum(Lead, Won)=Lead
	//	company:  -> Organization.contacts
	//	win:      Won
	//	delete:   null
	Properties string

	// What the notation does not say.
	Verbs      map[string]Behavior // by action
	Also       map[string][]string // enum field: values accepted beyond the enum
	Was        map[string][]string // field or forward relationship: the names it had before; no field may take one of them
	Collection string              // plural in addresses where it is not the kebab plural of the name
	IDLength   int                 // random characters of an id; 0 = 8
}

// Behavior is what a verb does beyond setting the enum value it is named after.
type Behavior struct {
	Effects   []Effect // after the enum value
	Stamp     string   // datetime field that takes the time of the verb
	InputOnly bool     // the body is not merged; it is only the event's input
}

// Define makes the noun of a declaration. All mistakes in its properties are reported, joined into one error. Whether
// the targets of its relationships exist is checked by NewRegistry.
func Define(d Declaration) (*Noun, error) {
	if !isPascal(d.Name) {
		return nil, fmt.Errorf("%q is not the name of a noun: two or more letters in PascalCase", d.Name)
	}
	if d.IDLength != 0 && (d.IDLength < minSuffix || d.IDLength > maxSuffix) {
		return nil, fmt.Errorf("noun %s: ids have %d to %d random characters", d.Name, minSuffix, maxSuffix)
	}
	n := &Noun{
		Name: d.Name, Domain: d.Domain, Description: d.Description,
		Singular: strings.Join(words(d.Name), " "), Plural: strings.Join(pluralWords(d.Name), " "),
		IDPrefix: strings.ToLower(d.Name), Slugs: slugs(d.Name, d.Collection),
		idLength: cmp.Or(d.IDLength, idLength),
	}
	err := errors.Join(n.addLines(d.Properties), n.addAlso(d.Also), n.addWas(d.Was))
	if err == nil {
		n.finish()
		n.deriveEffects()
		err = n.addBehavior(d.Verbs)
	}
	if err != nil {
		return nil, fmt.Errorf("noun %s: %w", d.Name, err)
	}
	return n, nil
}

// addLines reads the table of properties.
func (n *Noun) addLines(table string) error {
	var errs []error
	seen := map[string]bool{}
	for line := range strings.Lines(table) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		line, doc, _ := strings.Cut(line, " //")
		name, notation, ok := strings.Cut(line, ":")
		if !ok {
			errs = append(errs, fmt.Errorf("line %q lacks a colon", line))
			continue
		}
		name = strings.TrimSpace(name)
		if seen[strings.ToLower(name)] {
			errs = append(errs, fmt.Errorf("property %s stands twice, in any casing", name))
			continue
		}
		seen[strings.ToLower(name)] = true
		p, err := Parse(name, notation)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		n.add(p, strings.TrimSpace(doc))
	}
	return errors.Join(errs...)
}

func (n *Noun) add(p Property, doc string) {
	switch {
	case p.Field != nil:
		p.Field.Doc = doc
		n.Fields = append(n.Fields, *p.Field)
		n.order = append(n.order, p.Field.Name)
	case p.Relationship != nil:
		p.Relationship.Doc = doc
		n.Relationships = append(n.Relationships, *p.Relationship)
		if p.Relationship.Forward {
			n.order = append(n.order, p.Relationship.Name)
		}
	case p.Verb != nil:
		p.Verb.Doc = doc
		n.Verbs = append(n.Verbs, *p.Verb)
	default:
		n.Disabled = append(n.Disabled, p.Disabled)
	}
}

// fieldAt finds a field before the lookups are made.
func (n *Noun) fieldAt(name string) *Field {
	if i := slices.IndexFunc(n.Fields, func(f Field) bool { return f.Name == name }); i >= 0 {
		return &n.Fields[i]
	}
	return nil
}

func (n *Noun) addAlso(also map[string][]string) error {
	for name, values := range also {
		f := n.fieldAt(name)
		if f == nil || f.Kind != Enum {
			return fmt.Errorf("also: there is no enum field %q", name)
		}
		f.AlsoAccepted = slices.Clone(values)
	}
	return nil
}

// addWas notes old names. Each stands for one column for ever, so that what was written under it keeps its meaning.
func (n *Noun) addWas(was map[string][]string) error {
	for name, olds := range was {
		if !slices.Contains(n.order, name) {
			return fmt.Errorf("was: there is no field %q", name)
		}
		for _, old := range olds {
			taken := slices.Contains(n.order, old) || slices.ContainsFunc(n.Relationships, func(r Relationship) bool { return r.Name == old })
			if taken || n.was[old] != "" || checkName(old) != nil {
				return fmt.Errorf("was: %q cannot be the old name of %s", old, name)
			}
			if n.was == nil {
				n.was = map[string]string{}
			}
			n.was[old] = name
		}
	}
	return nil
}

// deriveEffects lets each verb set the first enum field that holds its past form.
func (n *Noun) deriveEffects() {
	for i := range n.Verbs {
		v := &n.Verbs[i]
		for _, f := range n.Fields {
			if slices.Contains(f.Enum, v.Declared) {
				v.Effects = []Effect{{Field: f.Name, Op: Set, Value: v.Declared}}
				break
			}
		}
	}
}

func (n *Noun) addBehavior(behavior map[string]Behavior) error {
	for action, b := range behavior {
		i := slices.IndexFunc(n.Verbs, func(v Verb) bool { return v.Action == action })
		if i < 0 {
			return fmt.Errorf("there is no verb %q", action)
		}
		v := &n.Verbs[i]
		for _, e := range b.Effects {
			if err := n.checkEffect(e); err != nil {
				return fmt.Errorf("verb %s: %w", action, err)
			}
			v.Effects = append(v.Effects, e)
		}
		if f := n.fieldAt(b.Stamp); b.Stamp != "" && (f == nil || f.Kind != Datetime && f.Kind != Timestamp) {
			return fmt.Errorf("verb %s: there is no datetime field %q to stamp", action, b.Stamp)
		}
		v.Stamp, v.Merges = b.Stamp, !b.InputOnly
	}
	return nil
}

// checkEffect makes sure that an effect leaves a value of its field.
func (n *Noun) checkEffect(e Effect) error {
	f := n.fieldAt(e.Field)
	if f == nil {
		return fmt.Errorf("there is no field %q to write", e.Field)
	}
	switch e.Op {
	case Set:
		if f.holds(e.Value) {
			return nil
		}
	case Inc:
		if f.Kind.Numeric() && !f.Array {
			return nil
		}
	case Next:
		if len(e.Steps) > 0 && !slices.ContainsFunc(e.Steps, func(s string) bool { return !f.holds(s) }) {
			return nil
		}
	}
	return fmt.Errorf("the effect on %s does not suit its type", e.Field)
}
