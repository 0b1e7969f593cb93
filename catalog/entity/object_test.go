package entity_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"headless.ly/catalog/entity"
)

func TestParseKeepsOrderAndSpelling(t *testing.T) {
	o, err := entity.Parse([]byte(` { "b" : 9007199254740993 , "a": [ 1, {"x" : 1.50} ], "ü\u0041": "é\n\"" } `))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(o.Append(nil)), `{"b":9007199254740993,"a":[1,{"x":1.50}],"üA":"é\n\""}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if o.Text("üA") != "é\n\"" || o.Text("b") != "" || o.Text("missing") != "" {
		t.Errorf("texts %q %q", o.Text("üA"), o.Text("b"))
	}
}

func TestEqualStatesHaveEqualBytes(t *testing.T) {
	o, err := entity.Parse([]byte(`{"\u0061":"\u0041\/\u00e9\u000a","b":[1.50,{"c":"\u003c"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(o.Append(nil)), `{"a":"A/é\n","b":[1.50,{"c":"<"}]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []string{
		``, ` `, `null`, `[]`, `7`, `"x"`, `{`, `{}{}`, `{} x`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":2}}`, "{\"a\":\"\xff\"}", `{"a":01}`, `{'a':1}`, `{"a":NaN}`, `{a:1}`,
		`{"a":` + strings.Repeat("[", entity.MaxDepth) + strings.Repeat("]", entity.MaxDepth) + `}`,
	} {
		if o, err := entity.Parse([]byte(bad)); err == nil {
			t.Errorf("%.40q was read as %s", bad, o.Append(nil))
		}
	}
	deep := `{"a":` + strings.Repeat("[", entity.MaxDepth-1) + strings.Repeat("]", entity.MaxDepth-1) + `}`
	if _, err := entity.Parse([]byte(deep)); err != nil {
		t.Errorf("the deepest document allowed: %v", err)
	}
}

func TestParseDoesNotKeepItsInput(t *testing.T) {
	in := []byte(`{"a":"one"}`)
	o, err := entity.Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	copy(in, bytes.Repeat([]byte("x"), len(in)))
	if o.Text("a") != "one" {
		t.Error("the object changed with the bytes it was parsed from")
	}
}

func TestChanges(t *testing.T) {
	o, err := entity.Parse([]byte(`{"$id":"x","a":1,"b":2}`))
	if err != nil {
		t.Fatal(err)
	}
	c := o.Clone()
	c.Set("a", entity.Quote("new"))
	c.Set("c", entity.Quote("more"))
	c.Delete("b")
	c.Delete("missing")
	if got := string(c.Append(nil)); got != `{"$id":"x","a":"new","c":"more"}` {
		t.Error(got)
	}
	if got := string(o.Append(nil)); got != `{"$id":"x","a":1,"b":2}` {
		t.Errorf("the original changed: %s", got)
	}
	if got := string(o.Fields().Append(nil)); got != `{"a":1,"b":2}` {
		t.Error(got)
	}
}

func TestWithContext(t *testing.T) {
	doc := []byte(`{"$type":"Contact","$id":"contact_A","$version":1}`)
	if got, want := string(entity.WithContext(doc, "headless.ly", "acme")), `{"$type":"Contact","$id":"contact_A","$context":"https://headless.ly/~acme","$version":1}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":{"b":[1,2,{"c":null}]},"d":"\u00e9"}`, `{"a":"\ud800"}`, `{"a":1e400}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		o, err := entity.Parse(in)
		if err != nil {
			return
		}
		out := o.Append(nil)
		if !json.Valid(out) {
			t.Fatalf("%q became invalid JSON %q", in, out)
		}
		again, err := entity.Parse(out)
		if err != nil || !bytes.Equal(again.Append(nil), out) {
			t.Fatalf("%q: %q is not stable: %v", in, out, err)
		}
		stored, err := entity.ParseStored(out)
		if err != nil || !bytes.Equal(stored.Append(nil), out) {
			t.Fatalf("%q: stored form reads differently: %v", in, err)
		}
	})
}

func TestRename(t *testing.T) {
	names := map[string]string{"mail": "email", "address": "email", "zone": "area"}
	for in, want := range map[string]string{
		`{"a":1}`:                                 `{"a":1}`,
		`{"mail":1,"a":2}`:                        `{"email":1,"a":2}`,
		`{"mail":1,"zone":2,"email":3}`:           `{"email":1,"area":2}`, // the new name was undeclared then
		`{"email":3,"mail":1}`:                    `{"email":1}`,
		`{"mail":1,"address":2,"email":3,"x":[]}`: `{"email":1,"x":[]}`,
	} {
		o, err := entity.Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		before := string(o.Append(nil))
		held := o
		o.Rename(names)
		if got := string(o.Append(nil)); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
		if string(held.Append(nil)) != before {
			t.Errorf("%s: somebody else's members changed", in)
		}
	}
}
