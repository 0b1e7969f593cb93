package noun_test

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"headless.ly/catalog/noun"
)

// spec is testdata/nouns.json, the catalogue that the declarations must agree with.
type spec struct {
	CrudVerbs []specVerb
	Nouns     []specNoun
}

type specNoun struct {
	Name, Singular, Plural, IDPrefix, Domain, Description string

	Slugs struct {
		Type, Collection, Singular, RPC string
		Aliases                         []string
	}
	Fields            []specField
	Relationships     []specRelationship
	Verbs             []specVerb
	CrudVerbsDisabled []string
}

type specField struct {
	Name, Type, Description   string
	Required, Indexed, Unique bool
	Enum, EnumAlsoAccepted    []string
	Default                   string
}

type specRelationship struct {
	Name, Direction, Target, Backref string
	Many, StoresKey, Required        bool
}

type specVerb struct {
	Name, Declared, Action, Act, Activity, Event, ReverseBy, ReverseAt, SetsSource, StampField string

	Sets map[string]any
}

func readSpec(t *testing.T) spec {
	t.Helper()
	b, err := os.ReadFile("testdata/nouns.json")
	if err != nil {
		t.Fatal(err)
	}
	var s spec
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCoreAgreesWithTheCatalogue(t *testing.T) {
	s := readSpec(t)
	var names, want []string
	for _, n := range noun.Core().All() {
		names = append(names, n.Name)
	}
	for _, n := range s.Nouns {
		want = append(want, n.Name)
	}
	if !slices.Equal(names, want) {
		t.Fatalf("nouns:\n got %v\nwant %v", names, want)
	}
	for _, w := range s.Nouns {
		t.Run(w.Name, func(t *testing.T) {
			n, ok := noun.Core().Get(w.Name)
			if !ok {
				t.Fatal("missing")
			}
			checkNames(t, n, w)
			checkFields(t, n, w.Fields)
			checkRelationships(t, n, w.Relationships)
			checkVerbs(t, n, w.Verbs)
		})
	}
}

// equal reports a difference and goes on.
func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

func checkNames(t *testing.T, n *noun.Noun, w specNoun) {
	equal(t, "singular", n.Singular, w.Singular)
	equal(t, "plural", n.Plural, w.Plural)
	equal(t, "id prefix", n.IDPrefix, w.IDPrefix)
	equal(t, "domain", n.Domain, w.Domain)
	equal(t, "description", n.Description, w.Description)
	equal(t, "slugs", n.Slugs, noun.Slugs(w.Slugs))
	equal(t, "disabled", append([]string{}, n.Disabled...), w.CrudVerbsDisabled)
	for _, crud := range []string{"create", "update", "delete"} {
		equal(t, crud, n.Can(crud), !slices.Contains(w.CrudVerbsDisabled, crud))
	}
}

func checkFields(t *testing.T, n *noun.Noun, want []specField) {
	equal(t, "number of fields", len(n.Fields), len(want))
	for i, w := range want {
		f := n.Fields[i]
		if n.Name+"."+w.Name == "ApiKey.keyPrefix" { // the specification's ruling 9 says 16 characters
			w.Description = "Leading 16 characters of the secret; the secret itself is not stored here."
		}
		equal(t, w.Name, f, noun.Field{
			Name: w.Name, Kind: noun.Kind(w.Type), Required: w.Required, Indexed: w.Indexed, Unique: w.Unique,
			Enum: w.Enum, AlsoAccepted: w.EnumAlsoAccepted, Default: w.Default, Doc: w.Description,
		})
		c, ok := n.Column(w.Name)
		equal(t, w.Name+" column", ok && c.Kind == f.Kind && c.Required == f.Required && c.Relationship == nil, true)
		equal(t, w.Name+" place", n.Columns()[i].Name, w.Name)
	}
}

func checkRelationships(t *testing.T, n *noun.Noun, want []specRelationship) {
	for i, w := range want {
		r := n.Relationships[i]
		equal(t, w.Name, []any{r.Name, r.Forward, r.Target, r.Many, r.Required, r.Derived, r.Fuzzy},
			[]any{w.Name, w.StoresKey, w.Target, w.Many, w.Required, false, false})
		if w.Backref != "" {
			equal(t, w.Name+" inverse", r.Inverse, w.Backref)
		}
		if w.Direction == "<-" {
			equal(t, w.Name+" via", r.Via, w.Backref)
		}
		c, ok := n.Column(w.Name)
		equal(t, w.Name+" column", ok, w.StoresKey)
		if ok {
			equal(t, w.Name+" kind", c.Kind, noun.ID)
		}
	}
	for _, r := range n.Relationships[len(want):] {
		equal(t, r.Name+" derived", r.Derived, true)
	}
}

func checkVerbs(t *testing.T, n *noun.Noun, want []specVerb) {
	equal(t, "number of verbs", len(n.Verbs), len(want))
	for i, w := range want {
		v := n.Verbs[i]
		checkForms(t, v, w)
		equal(t, w.Name+" stamp", v.Stamp, w.StampField)
		equal(t, w.Name+" effects", effects(t, v), wantEffects(n.Name, w))
		found, ok := n.Verb(w.Name)
		equal(t, w.Name+" found", ok && found == &n.Verbs[i], true)
	}
}

func checkForms(t *testing.T, v noun.Verb, w specVerb) {
	t.Helper()
	equal(t, w.Name, []string{v.Action, v.Act, v.Activity, v.Event, v.Declared, v.ReverseBy, v.ReverseAt, v.ReverseIn},
		[]string{w.Action, w.Act, w.Activity, w.Event, w.Declared, w.ReverseBy, w.ReverseAt, w.Event + "In"})
}

// effects writes a verb's effects in the catalogue's form.
func effects(t *testing.T, v noun.Verb) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, e := range v.Effects {
		if _, twice := out[e.Field]; twice {
			t.Errorf("%s writes %s twice", v.Action, e.Field)
		}
		switch e.Op {
		case noun.Set:
			out[e.Field] = e.Value
		case noun.Inc:
			out[e.Field] = map[string]any{"$inc": e.By}
		case noun.Next:
			var steps []any
			for _, s := range e.Steps {
				steps = append(steps, s)
			}
			out[e.Field] = map[string]any{"$next": steps}
		}
	}
	return out
}

// wantEffects adds what the catalogue says in a note only, and writes numbers as text.
func wantEffects(name string, w specVerb) map[string]any {
	for k, v := range w.Sets {
		if x, ok := v.(float64); ok {
			w.Sets[k] = strconv.FormatFloat(x, 'f', -1, 64)
		}
	}
	if name == "Metric" && w.Name == "reset" {
		w.Sets["value"] = "0"
	}
	return w.Sets
}

func TestWhichVerbsMergeAndWhichEffectsYield(t *testing.T) {
	var inputOnly, yields []string
	for _, n := range noun.Core().All() {
		for _, v := range n.Verbs {
			if !v.Merges {
				inputOnly = append(inputOnly, n.Name+"."+v.Action)
			}
			for _, e := range v.Effects {
				if e.Yields {
					yields = append(yields, n.Name+"."+v.Action+" "+e.Field)
				}
			}
		}
	}
	equal(t, "input only", inputOnly, []string{"Contact.merge", "Funnel.analyze", "Segment.refresh", "Form.submit"})
	equal(t, "yields", yields, []string{"Deal.advance stage", "Metric.reset value"})
}

func TestEffectsStayInsideTheEnum(t *testing.T) {
	for _, n := range noun.Core().All() {
		for _, v := range n.Verbs {
			for _, e := range v.Effects {
				f, ok := n.Field(e.Field)
				if !ok || e.Op == noun.Set && !f.Accepts(e.Value) {
					t.Errorf("%s.%s writes %q into %s", n.Name, v.Action, e.Value, e.Field)
				}
			}
		}
	}
}

func TestCatalogueCounts(t *testing.T) {
	got := map[string]int{}
	for _, n := range noun.Core().All() {
		got["nouns"]++
		got["verbs"] += len(n.Verbs)
		got["unique"] += len(n.Uniques())
		for _, f := range n.Fields {
			got["fields"]++
			if f.Required {
				got["required"]++
			}
			if f.Default != "" {
				got["defaults"]++
			}
		}
		for _, r := range n.Relationships {
			switch {
			case r.Derived:
				got["derived"]++
			case r.Forward:
				got["forward"]++
			default:
				got["reverse"]++
			}
		}
	}
	equal(t, "counts", got, map[string]int{
		"nouns": 35, "fields": 413, "required": 56, "unique": 23, "defaults": 25, "verbs": 96,
		"forward": 64, "reverse": 18, "derived": 46,
	})
}

func TestCrudVerbForms(t *testing.T) {
	for _, w := range readSpec(t).CrudVerbs {
		checkForms(t, noun.Conjugate(w.Name), w)
	}
}

// TestConjugateAgreesWithTheDeclaredForms: nouns.md promises that every declared value equals the conjugated event.
func TestConjugateAgreesWithTheDeclaredForms(t *testing.T) {
	for _, n := range readSpec(t).Nouns {
		for _, w := range n.Verbs {
			checkForms(t, noun.Conjugate(w.Name), w)
		}
	}
}
