package noun_test

import (
	"strings"
	"testing"

	"headless.ly/catalog/noun"
)

// define makes a noun that the test knows to be good.
func define(t *testing.T, d noun.Declaration) *noun.Noun {
	t.Helper()
	n, err := noun.Define(d)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDefine(t *testing.T) {
	n := define(t, noun.Declaration{
		Name: "ShippingLabel", Domain: "Logistics", Description: "What is stuck on a parcel.", IDLength: 10,
		Properties: `
			number:    string!##          // Printed: https://example.com/a
			order:     -> PurchaseOrder!  // Where it belongs.
			weight:    number
			state:     enum(Fresh, Printed)=Fresh
			other:     Printed | Torn
			copies:    int=1
			printedAt: datetime

			print:     Printed            // Onto paper.
			tear:      Torn
			weigh:     Weighed
			delete:    null
		`,
		Verbs: map[string]noun.Behavior{
			"print": {Effects: []noun.Effect{{Field: "copies", Op: noun.Inc, By: 1}}, Stamp: "printedAt"},
			"weigh": {InputOnly: true},
		},
		Also: map[string][]string{"state": {"Lost"}},
		Was:  map[string][]string{"weight": {"mass", "heft"}, "order": {"commission"}},
	})
	equal(t, "names", []string{n.Name, n.Singular, n.Plural, n.IDPrefix, n.Table(), n.Domain},
		[]string{"ShippingLabel", "shipping label", "shipping labels", "shippinglabel", "shippinglabel", "Logistics"})
	var columns []string
	for _, c := range n.Columns() {
		if (c.Field == nil) == (c.Relationship == nil) {
			t.Errorf("column %s is not exactly one of field and relationship", c.Name)
		}
		columns = append(columns, c.Name)
	}
	equal(t, "columns", strings.Join(columns, " "), "number order weight state other copies printedAt")
	order, _ := n.Column("order")
	equal(t, "order", []any{order.Kind, order.Required, order.Relationship.Doc}, []any{noun.ID, true, "Where it belongs."})
	number, _ := n.Field("number")
	equal(t, "doc", number.Doc, "Printed: https://example.com/a")
	state, _ := n.Field("state")
	equal(t, "accepts", []bool{state.Accepts("Printed"), state.Accepts("Lost"), state.Accepts("printed"), state.Accepts("")}, []bool{true, true, false, false})
	equal(t, "was", []string{n.Current("mass"), n.Current("heft"), n.Current("commission"), n.Current("name")}, []string{"weight", "weight", "order", "name"})
	equal(t, "id length", n.IDLen(), 10)

	print, _ := n.Verb("print") // the first enum that holds the past form; then what the declaration adds
	equal(t, "effects", print.Effects, []noun.Effect{{Field: "state", Op: noun.Set, Value: "Printed"}, {Field: "copies", Op: noun.Inc, By: 1}})
	equal(t, "print", []any{print.Stamp, print.Merges, print.Doc}, []any{"printedAt", true, "Onto paper."})
	tear, _ := n.Verb("tear")
	equal(t, "tear", tear.Effects, []noun.Effect{{Field: "other", Op: noun.Set, Value: "Torn"}})
	weigh, _ := n.Verb("weigh")
	equal(t, "weigh", []any{weigh.Merges, len(weigh.Effects)}, []any{false, 0})
	equal(t, "can", []bool{n.Can("create"), n.Can("update"), n.Can("delete")}, []bool{true, true, false})

	if _, ok := n.Field("order"); ok {
		t.Error("a relationship is no field")
	}
	for _, name := range []string{"Number", "print", "nothing", ""} {
		if _, ok := n.Column(name); ok {
			t.Errorf("there is no column %q", name)
		}
	}
	for _, name := range []string{"printing", "printed", "create", "number", ""} {
		if _, ok := n.Verb(name); ok {
			t.Errorf("there is no verb %q", name)
		}
	}
}

func TestDefineRefuses(t *testing.T) {
	good := noun.Declaration{Name: "Parcel", Properties: "a: string\nn: number\ns: enum(X, Y)\nat: datetime\nsend: Sent"}
	with := func(change func(*noun.Declaration)) noun.Declaration {
		d := good
		change(&d)
		return d
	}
	effect := func(e noun.Effect) noun.Declaration {
		return with(func(d *noun.Declaration) { d.Verbs = map[string]noun.Behavior{"send": {Effects: []noun.Effect{e}}} })
	}
	define(t, good)
	for says, d := range map[string]noun.Declaration{
		"not the name of a noun":      with(func(d *noun.Declaration) { d.Name = "parcel" }),
		"lacks a colon":               with(func(d *noun.Declaration) { d.Properties = "a string" }),
		"twice, in any casing":        with(func(d *noun.Declaration) { d.Properties += "\nSEND: string" }),
		`unknown type "strnig"`:       with(func(d *noun.Declaration) { d.Properties = "a: strnig\nb: nubmer" }),
		`unknown type "nubmer"`:       with(func(d *noun.Declaration) { d.Properties = "a: strnig\nb: nubmer" }),
		"5 to 32 random":              with(func(d *noun.Declaration) { d.IDLength = 4 }),
		`no enum field "a"`:           with(func(d *noun.Declaration) { d.Also = map[string][]string{"a": {"Z"}} }),
		`no enum field "zz"`:          with(func(d *noun.Declaration) { d.Also = map[string][]string{"zz": {"Z"}} }),
		`was: there is no field "zz"`: with(func(d *noun.Declaration) { d.Was = map[string][]string{"zz": {"y"}} }),
		`"n" cannot be the old name`:  with(func(d *noun.Declaration) { d.Was = map[string][]string{"a": {"n"}} }),
		`"id" cannot be the old name`: with(func(d *noun.Declaration) { d.Was = map[string][]string{"a": {"id"}} }),
		`no verb "fly"`:               with(func(d *noun.Declaration) { d.Verbs = map[string]noun.Behavior{"fly": {}} }),
		`no datetime field "a"`:       with(func(d *noun.Declaration) { d.Verbs = map[string]noun.Behavior{"send": {Stamp: "a"}} }),
		`no field "zz" to write`:      effect(noun.Effect{Field: "zz", Op: noun.Set}),
		"the effect on s":             effect(noun.Effect{Field: "s", Op: noun.Set, Value: "Z"}),
		"the effect on a":             effect(noun.Effect{Field: "a", Op: noun.Inc, By: 1}),
		"the effect on n":             effect(noun.Effect{Field: "n", Op: noun.Next}),
		"the effect on at":            effect(noun.Effect{Field: "at", Value: "2026-03-02T00:00:00Z"}), // no operation
	} {
		n, err := noun.Define(d)
		if err == nil || n != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, got %v", says, err)
		}
	}
}

func TestLiteral(t *testing.T) {
	for notation, w := range map[string]string{
		"string=a \"b\" <c>\\": `"a \"b\" <c>\\"`,
		"enum(a,b)=a":          `"a"`,
		"date=2026-03-02":      `"2026-03-02"`,
		"number=12.50":         `12.50`,
		"int=7":                `7`,
		"boolean=true":         `true`,
		`json={"a":[1]}`:       `{"a":[1]}`,
		`json="\"x\""`:         `\"x\"`,
		`string[]=["a"]`:       `["a"]`,
	} {
		p, err := noun.Parse("x", notation)
		if notation == `json="\"x\""` {
			if err == nil {
				t.Errorf("%s was accepted", notation)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", notation, err)
			continue
		}
		equal(t, notation, p.Field.Literal(p.Field.Default), w)
	}
}

// FuzzDefine: a table of properties never makes a noun whose parts cannot be found again.
func FuzzDefine(f *testing.F) {
	f.Add("a: string // b\nc: -> Contact.d\ne: Won")
	f.Add("a: enum(X,Y)=X\r\n\r\n b:string[] //x\nx:Y\nupdate:null")
	f.Fuzz(func(t *testing.T, table string) {
		n, err := noun.Define(noun.Declaration{Name: "Fuzzy", Properties: table})
		if err != nil {
			return
		}
		for i, c := range n.Columns() {
			if got, ok := n.Column(c.Name); !ok || got != c || (c.Field == nil) == (c.Relationship == nil) {
				t.Fatalf("column %d of %q is %+v", i, table, c)
			}
		}
		for i := range n.Verbs {
			if v, ok := n.Verb(n.Verbs[i].Action); !ok || v != &n.Verbs[i] {
				t.Fatalf("verb %d of %q is lost", i, table)
			}
		}
		for i := range n.Relationships {
			if r, ok := n.Relationship(n.Relationships[i].Name); !ok || r != &n.Relationships[i] {
				t.Fatalf("relationship %d of %q is lost", i, table)
			}
		}
	})
}
