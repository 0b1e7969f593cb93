package noun

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Registry is a closed set of nouns whose relationships all lead to one another. It does not change after it was made
// and is safe for concurrent use.
type Registry struct {
	nouns    []*Noun
	byName   map[string]*Noun
	bySlug   map[string]*Noun // every accepted spelling, lower-cased
	byPrefix map[string]*Noun
}

// NewRegistry links the nouns: it gives every forward relationship its inverse. The nouns are copied, so the same ones
// may be given to several registries. It fails on names that clash and on relationships that lead nowhere, reporting
// every mistake.
func NewRegistry(nouns ...*Noun) (*Registry, error) {
	r := &Registry{byName: map[string]*Noun{}, bySlug: map[string]*Noun{}, byPrefix: map[string]*Noun{}}
	var errs []error
	for _, n := range nouns {
		errs = append(errs, r.add(n.unlinked()))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	l := linker{nouns: r.nouns, byName: r.byName, derived: map[*Noun][]Relationship{}}
	if err := l.link(); err != nil {
		return nil, err
	}
	for _, n := range r.nouns {
		n.finish()
	}
	return r, nil
}

// add takes a noun and its names.
func (r *Registry) add(n *Noun) error {
	if r.byPrefix[n.IDPrefix] != nil {
		return fmt.Errorf("noun %s: another noun has this name", n.Name)
	}
	s := n.Slugs
	for _, slug := range append([]string{s.Type, s.Collection, s.Singular, s.RPC}, s.Aliases...) {
		slug = strings.ToLower(slug)
		if other := r.bySlug[slug]; other != nil && other != n {
			return fmt.Errorf("noun %s: %q is also a name of %s", n.Name, slug, other.Name)
		}
		r.bySlug[slug] = n
	}
	r.byName[n.Name], r.byPrefix[n.IDPrefix] = n, n
	r.nouns = append(r.nouns, n)
	return nil
}

// All gives the nouns in order of declaration. The slice is the caller's.
func (r *Registry) All() []*Noun { return slices.Clone(r.nouns) }

// Get finds a noun by its exact name.
func (r *Registry) Get(name string) (*Noun, bool) {
	n, ok := r.byName[name]
	return n, ok
}

// Resolve finds a noun by any spelling an address may use, in any casing: FeatureFlag, feature-flag, featureFlags,
// feature-flags, featureflags.
func (r *Registry) Resolve(name string) (*Noun, bool) {
	if n, ok := r.byName[name]; ok {
		return n, true
	}
	n, ok := r.bySlug[strings.ToLower(name)]
	return n, ok
}

// ByPrefix finds the noun whose ids begin with the prefix, given without its underscore and in any casing.
func (r *Registry) ByPrefix(idPrefix string) (*Noun, bool) {
	n, ok := r.byPrefix[strings.ToLower(idPrefix)]
	return n, ok
}

// Core gives the 35 nouns of the product.
func Core() *Registry { return core() }

// core builds the registry once. The declarations are constants, so a mistake in them is a broken invariant.
var core = sync.OnceValue(func() *Registry {
	var nouns []*Noun
	for _, domain := range [][]Declaration{
		identity(), crm(), billing(), projects(), content(), support(), analytics(), marketing(), experimentation(),
		platform(), communication(),
	} {
		for _, d := range domain {
			n, err := Define(d)
			if err != nil {
				panic(err)
			}
			nouns = append(nouns, n)
		}
	}
	r, err := NewRegistry(nouns...)
	if err != nil {
		panic(err)
	}
	return r
})
