package noun

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// linker gives every relationship of a set of nouns its other side.
type linker struct {
	nouns   []*Noun
	byName  map[string]*Noun
	derived map[*Noun][]Relationship // inverses that nobody declared, by the noun they lead from
}

// unlinked copies a noun without what a registry added to it.
func (n *Noun) unlinked() *Noun {
	c := *n
	c.Relationships = nil
	for _, r := range n.Relationships {
		if !r.Derived {
			r.Inverse = r.named
			c.Relationships = append(c.Relationships, r)
		}
	}
	return &c
}

// link ties the declared reverse sides first, then adds the inverses that forward sides name, then those that nobody
// names. A step that fails is the last.
func (l *linker) link() error {
	for _, step := range []func(*Noun, *Relationship) error{l.checkTarget, l.linkReverse, l.addNamed} {
		if err := l.each(step); err != nil {
			return err
		}
	}
	var errs []error
	for _, n := range l.nouns {
		for _, target := range l.nouns {
			errs = append(errs, l.addUnnamed(n, target))
		}
	}
	for _, n := range l.nouns {
		n.Relationships = append(n.Relationships, l.derived[n]...)
	}
	return errors.Join(errs...)
}

// each calls step for every declared relationship.
func (l *linker) each(step func(*Noun, *Relationship) error) error {
	var errs []error
	for _, n := range l.nouns {
		for i := range n.Relationships {
			if err := step(n, &n.Relationships[i]); err != nil {
				errs = append(errs, fmt.Errorf("noun %s: relationship %s: %w", n.Name, n.Relationships[i].Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (l *linker) checkTarget(_ *Noun, r *Relationship) error {
	if l.byName[r.Target] == nil {
		return fmt.Errorf("there is no noun %s", r.Target)
	}
	return nil
}

// linkReverse ties a declared reverse side to the forward relationship it names; if it names none, to the only one
// there is.
func (l *linker) linkReverse(n *Noun, r *Relationship) error {
	if r.Forward {
		return nil
	}
	target := l.byName[r.Target]
	found := target.forwardTo(n)
	if r.named != "" {
		found = slices.DeleteFunc(found, func(f *Relationship) bool { return f.Name != r.named })
	}
	if len(found) != 1 {
		return fmt.Errorf("%s has %d forward relationships %q that lead here", target.Name, len(found), r.named)
	}
	f := found[0]
	if f.Inverse != "" && f.Inverse != r.Name {
		return fmt.Errorf("the inverse of %s.%s is %s already", target.Name, f.Name, f.Inverse)
	}
	f.Inverse, r.Inverse, r.Via = r.Name, f.Name, f.Name
	return nil
}

// addNamed adds the inverse that a forward relationship names, unless the target declares it.
func (l *linker) addNamed(n *Noun, r *Relationship) error {
	if !r.Forward || r.Inverse == "" {
		return nil
	}
	target := l.byName[r.Target]
	declared := func(x Relationship) bool {
		return !x.Forward && x.Name == r.Inverse && x.Target == n.Name && x.Via == r.Name
	}
	if slices.ContainsFunc(target.Relationships, declared) {
		return nil
	}
	return l.add(target, n, r, r.Inverse)
}

// addUnnamed adds the inverses, on the target, of the forward relationships of n that nobody named. The preferred one of
// all that lead there gets the plural of n (tickets); the others, and that one too if the target has another use for the
// name, get the plural and the field (ticketsByAssignee).
func (l *linker) addUnnamed(n, target *Noun) error {
	forward := n.forwardTo(target)
	slices.SortStableFunc(forward, func(a, b *Relationship) int {
		return cmp.Compare(preference(a, target), preference(b, target))
	})
	for i, r := range forward {
		if r.Inverse != "" {
			continue
		}
		name := n.Slugs.RPC
		if i > 0 || l.taken(target, name) {
			name += "By" + capital(r.Name)
		}
		if err := l.add(target, n, r, name); err != nil {
			return fmt.Errorf("noun %s: relationship %s: %w; name the inverse", n.Name, r.Name, err)
		}
		r.Inverse = name
	}
	return nil
}

// add gives the target the inverse of a forward relationship of n.
func (l *linker) add(target, n *Noun, r *Relationship, name string) error {
	if l.taken(target, name) {
		return fmt.Errorf("%s uses the name %s for something else", target.Name, name)
	}
	l.derived[target] = append(l.derived[target], Relationship{
		Name: name, Target: n.Name, Inverse: r.Name, Via: r.Name, Fuzzy: r.Fuzzy, Many: true, Derived: true,
	})
	return nil
}

// taken says whether a name is in use on the noun, in any casing.
func (l *linker) taken(n *Noun, name string) bool {
	related := func(r Relationship) bool { return strings.EqualFold(r.Name, name) }
	return slices.ContainsFunc(n.Fields, func(f Field) bool { return strings.EqualFold(f.Name, name) }) ||
		slices.ContainsFunc(n.Verbs, func(v Verb) bool { return strings.EqualFold(v.Action, name) }) ||
		slices.ContainsFunc(n.Relationships, related) || slices.ContainsFunc(l.derived[n], related)
}

// forwardTo gives the forward relationships that lead to the target, in order of declaration.
func (n *Noun) forwardTo(target *Noun) []*Relationship {
	var out []*Relationship
	for i := range n.Relationships {
		if r := &n.Relationships[i]; r.Forward && r.Target == target.Name {
			out = append(out, r)
		}
	}
	return out
}

// preference orders the forward relationships to one target: first the one named like it, then, for people, the one
// that says most about whose the thing is.
func preference(r *Relationship, target *Noun) int {
	if strings.EqualFold(r.Name, target.Name) {
		return 0
	}
	order := []string{"requester", "recipient", "author", "reporter", "assignee", "owner"}
	if i := slices.Index(order, r.Name); i >= 0 && target.Name == "Contact" {
		return 1 + i
	}
	return 1 + len(order)
}
