package noun_test

import (
	"reflect"
	"strings"
	"testing"

	"headless.ly/catalog/noun"
)

func TestParseFields(t *testing.T) {
	for notation, w := range map[string]noun.Field{
		"string":                  {Kind: noun.String},
		" string ":                {Kind: noun.String},
		"string!":                 {Kind: noun.String, Required: true},
		"string?":                 {Kind: noun.String},
		"string?#":                {Kind: noun.String, Indexed: true},
		"string!##":               {Kind: noun.String, Required: true, Indexed: true, Unique: true},
		"string##":                {Kind: noun.String, Indexed: true, Unique: true},
		"string[]":                {Kind: noun.String, Array: true},
		"string!#[]":              {Kind: noun.String, Required: true, Indexed: true, Array: true},
		`string[]=["a"]`:          {Kind: noun.String, Array: true, Default: `["a"]`},
		"string=usd":              {Kind: noun.String, Default: "usd"},
		"string = usd":            {Kind: noun.String, Default: "usd"},
		`string="a b"`:            {Kind: noun.String, Default: "a b"},
		"string=a=b":              {Kind: noun.String, Default: "a=b"},
		"int!=0":                  {Kind: noun.Int, Required: true, Default: "0"},
		"number=1.5":              {Kind: noun.Number, Default: "1.5"},
		"boolean=true":            {Kind: noun.Boolean, Default: "true"},
		"date=2026-03-02":         {Kind: noun.Date, Default: "2026-03-02"},
		"datetime":                {Kind: noun.Datetime},
		"timestamp!":              {Kind: noun.Timestamp, Required: true},
		`json={"a":1}`:            {Kind: noun.JSON, Default: `{"a":1}`},
		"decimal":                 {Kind: noun.Decimal},
		"decimal(10,2)!":          {Kind: noun.Decimal, Precision: 10, Scale: 2, Required: true},
		"decimal(38, 0)=12":       {Kind: noun.Decimal, Precision: 38, Default: "12"},
		"A | B":                   {Kind: noun.Enum, Enum: []string{"A", "B"}},
		"In Progress|Done":        {Kind: noun.Enum, Enum: []string{"In Progress", "Done"}},
		"enum(a,b)":               {Kind: noun.Enum, Enum: []string{"a", "b"}},
		"enum(a, b)=b":            {Kind: noun.Enum, Enum: []string{"a", "b"}, Default: "b"},
		`enum("a", 'b') = "a"`:    {Kind: noun.Enum, Enum: []string{"a", "b"}, Default: "a"},
		"enum(a,b)!#=a":           {Kind: noun.Enum, Enum: []string{"a", "b"}, Required: true, Indexed: true, Default: "a"},
		"enum(String,Number,Big)": {Kind: noun.Enum, Enum: []string{"String", "Number", "Big"}},
	} {
		p, err := noun.Parse("thing", notation)
		if err != nil {
			t.Errorf("%s: %v", notation, err)
			continue
		}
		w.Name = "thing"
		equal(t, notation, p, noun.Property{Field: &w})
	}
	for _, kind := range strings.Fields("string number boolean date datetime json url email id text int decimal timestamp markdown float uuid ulid") {
		if p, err := noun.Parse("x", kind); err != nil || p.Field.Kind != noun.Kind(kind) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestParseRelationships(t *testing.T) {
	for notation, w := range map[string]noun.Relationship{
		"-> Contact":                       {Forward: true, Target: "Contact"},
		"->Contact.deals":                  {Forward: true, Target: "Contact", Inverse: "deals"},
		"-> Tag.deals[]":                   {Forward: true, Target: "Tag", Inverse: "deals", Many: true},
		"-> Contact.deals!":                {Forward: true, Target: "Contact", Inverse: "deals", Required: true},
		"<- Deal.contact[]":                {Target: "Deal", Inverse: "contact", Via: "contact", Many: true},
		"<- Deal.contact":                  {Target: "Deal", Inverse: "contact", Via: "contact"},
		"~> Company.people":                {Forward: true, Fuzzy: true, Target: "Company", Inverse: "people"},
		"<~ Person.company":                {Fuzzy: true, Target: "Person", Inverse: "company", Via: "company"},
		"Which company? -> Organization.x": {Forward: true, Target: "Organization", Inverse: "x"},
	} {
		p, err := noun.Parse("edge", notation)
		if err != nil {
			t.Errorf("%s: %v", notation, err)
			continue
		}
		r := *p.Relationship
		got := noun.Relationship{Forward: r.Forward, Fuzzy: r.Fuzzy, Target: r.Target, Inverse: r.Inverse, Many: r.Many, Via: r.Via, Required: r.Required}
		equal(t, notation, got, w)
	}
}

func TestParseVerbsAndNull(t *testing.T) {
	p, err := noun.Parse("qualify", "Qualified")
	if err != nil || p.Verb == nil || p.Verb.Declared != "Qualified" || p.Verb.Action != "qualify" {
		t.Errorf("verb: %+v, %v", p, err)
	}
	for _, crud := range []string{"create", "update", "delete"} {
		if p, err := noun.Parse(crud, "null"); err != nil || p.Disabled != crud {
			t.Errorf("%s: null gives %+v, %v", crud, p, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, bad := range []struct{ name, notation, says string }{
		{"a", "", "unknown type"},
		{"a", "strin", "unknown type"},
		{"a", "String", "unknown type"}, // a type name in another case is no verb
		{"a", "DateTime", "unknown type"},
		{"a", "Q", "unknown type"},
		{"a", "Qualified!", "unknown type"},
		{"Qualify", "Qualified", "unknown type"}, // a key that begins with a capital is no verb
		{"create", "Created", "unknown type"},
		{"find", "Found", "unknown type"},
		{"a", "string!!", "unknown type"},
		{"a", "string#!", "unknown type"}, // marks out of order
		{"a", "string[]#", "unknown type"},
		{"a", "string###", "unknown type"},
		{"a", "string=", "default is empty"},
		{"a", `string=""`, "default is empty"},
		{"a", "int=1.5", "not a value"},
		{"a", "number=abc", "not a value"},
		{"a", "number=null", "not a value"},
		{"a", "boolean=yes", "not a value"},
		{"a", "date=tomorrow", "not a value"},
		{"a", "datetime=2026-03-02", "not a value"},
		{"a", "json={", "not a value"},
		{"a", "string[]=x", "not a value"},
		{"a", "string##[]", "array"},
		{"a", "enum(a,b)[]", "array"},
		{"a", "enum(a,b)=c", "not a value"},
		{"a", "enum(a,b", "parenthesis"},
		{"a", "enum()", "empty"},
		{"a", "enum(a,,b)", "empty"},
		{"a", "enum(a,a)", "twice"},
		{"a", "enum(a(b),c)", "mark"},
		{"a", "enum", "unknown type"},
		{"a", "A | B!", "mark"},
		{"a", "A | B = A", "mark"},
		{"a", "A | B##", "mark"},
		{"a", "A | B[]", "mark"},
		{"a", "A | | B", "empty"},
		{"a", "A |", "empty"},
		{"a", "A | A", "twice"},
		{"a", "decimal(2,3)", "precision"},
		{"a", "decimal(39,3)", "precision"},
		{"a", "decimal(3)", "precision"},
		{"a", "decimal(-1,0)", "precision"},
		{"a", "string(3)", "unknown type"},
		{"a", "->", "target"},
		{"a", "-> contact", "target"},
		{"a", "-> C", "target"},
		{"a", "-> Contact.", "relationship"},
		{"a", "-> Contact.a.b", "relationship"},
		{"a", "<- Deal.contact[]!", "relationship"}, // only the side that stores the key can be required
		{"a", "-> <- Contact", "target"},
		{"a", "null", "null switches off"},
		{"a", "str\x00ing", "not text"},
		{"a", "A | \xff", "not text"},
		{"", "string", "not a name"},
		{"$id", "string", "not a name"},
		{"_version", "string", "not a name"},
		{"a b", "string", "not a name"},
		{"1a", "string", "not a name"},
		{"id", "string", "every table has"},
		{"Tenant", "string", "every table has"},
	} {
		p, err := noun.Parse(bad.name, bad.notation)
		switch {
		case err == nil:
			t.Errorf("%s: %q was accepted as %+v", bad.name, bad.notation, p)
		case !strings.Contains(err.Error(), bad.says) || !strings.Contains(err.Error(), "property "+bad.name):
			t.Errorf("%s: %q says %q, want %q", bad.name, bad.notation, err, bad.says)
		}
	}
}

// FuzzParse: whatever is accepted is written back by Notation, and read again as the same.
func FuzzParse(f *testing.F) {
	for _, n := range noun.Core().All() {
		for _, c := range n.Columns() {
			if c.Field != nil {
				f.Add(c.Name, c.Field.Notation())
			} else {
				f.Add(c.Name, c.Relationship.Notation())
			}
		}
	}
	for _, s := range []string{"null", "A | B", "A|B=", `enum("a",'b')!##="a"`, "decimal(10,2)[]=1", `string=""x""`, "<~ Ab.c[]", "q? ~> Ab!", "Qualified"} {
		f.Add("x", s)
	}
	f.Fuzz(func(t *testing.T, name, notation string) {
		p, err := noun.Parse(name, notation)
		if err != nil {
			if p != (noun.Property{}) {
				t.Fatalf("an error and %+v", p)
			}
			return
		}
		var again string
		switch {
		case p.Field != nil:
			again = p.Field.Notation()
			for _, v := range p.Field.Enum {
				if !p.Field.Accepts(v) {
					t.Fatalf("%q does not accept its own %q", notation, v)
				}
			}
		case p.Relationship != nil:
			again = p.Relationship.Notation()
		case p.Verb != nil:
			again = p.Verb.Declared
		default:
			again = "null"
		}
		q, err := noun.Parse(name, again)
		if err != nil || !reflect.DeepEqual(p, q) {
			t.Fatalf("%q was read as %+v, written as %q, and read as %+v, %v", notation, p, again, q, err)
		}
	})
}
