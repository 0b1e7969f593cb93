package entity

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth bounds the nesting of a document, its own braces included: deeper ones are attacks or accidents.
const MaxDepth = 64

// ErrNotObject is returned by Parse for JSON that is not an object.
var ErrNotObject = errors.New("not a JSON object")

// Member is one name and its raw, compact JSON value.
type Member struct {
	Name  string
	Value jsontext.Value
}

// Object is a JSON object with its members in order. Names are unique. It is a slice: copy it with Clone before changing
// one that others hold; values are never changed in place.
type Object []Member

// Parse reads exactly one JSON object.
func Parse(data []byte) (Object, error) {
	compact := jsontext.Value(bytes.Clone(data))
	if err := compact.Compact(jsontext.PreserveRawStrings(false), jsontext.AllowInvalidUTF8(false)); err != nil {
		return nil, fmt.Errorf("parse object: %w", err)
	}
	if compact.Kind() != '{' {
		return nil, ErrNotObject
	}
	if depth(compact) > MaxDepth {
		return nil, fmt.Errorf("parse object: nested deeper than %d", MaxDepth)
	}
	return parseCompact(jsontext.NewDecoder(bytes.NewBuffer(compact)), compact)
}

// Syntax is what a parser of this package or of jsontext says is wrong with a text, without where in the code it says so.
func Syntax(err error) string {
	text := err.Error()
	if _, said, ok := strings.Cut(text, "jsontext: "); ok {
		return said
	}
	return strings.TrimPrefix(text, "parse object: ")
}

// ParseStored reads a document that Append wrote. It keeps slices of data, which must not change afterwards. That names are
// unique was seen to by Parse; looking again takes as long as everything else, for each event that is read.
func ParseStored(data []byte) (Object, error) {
	return parseCompact(jsontext.NewDecoder(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true)), data)
}

func parseCompact(d *jsontext.Decoder, data jsontext.Value) (Object, error) {
	if tok, err := d.ReadToken(); err != nil || tok.Kind() != '{' {
		return nil, errors.Join(ErrNotObject, err)
	}
	o := make(Object, 0, 16)
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, fmt.Errorf("parse object: %w", err)
		}
		m := Member{Name: name.String()}
		start := d.InputOffset() + 1 // compact: one colon between name and value
		if err := d.SkipValue(); err != nil {
			return nil, fmt.Errorf("parse object: %w", err)
		}
		end := d.InputOffset()
		m.Value = data[start:end:end]
		o = append(o, m)
	}
	return o, nil
}

// Get gives the value of a member; ok is false where it is absent.
func (o Object) Get(name string) (v jsontext.Value, ok bool) {
	for i := range o {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return nil, false
}

// Text gives a member's string value, or "" where it is absent or no string.
func (o Object) Text(name string) string {
	v, _ := o.Get(name)
	return Unquote(v)
}

// Set replaces the member's value in its place, or appends it.
func (o *Object) Set(name string, v jsontext.Value) {
	for i := range *o {
		if (*o)[i].Name == name {
			(*o)[i].Value = v
			return
		}
	}
	*o = append(*o, Member{name, v})
}

// Delete removes a member if it is there.
func (o *Object) Delete(name string) {
	*o = slices.DeleteFunc(*o, func(m Member) bool { return m.Name == name })
}

// Rename gives members that bear an old name the name they have by now; names leads from old to new. Where several stand for
// one, the first under an old name stays: a document has declared fields first, and the others were not when it was written.
func (o *Object) Rename(names map[string]string) {
	renamed := map[string]bool{} // whether the member of this name has been met
	for _, m := range *o {
		if now, old := names[m.Name]; old {
			renamed[now] = false
		}
	}
	if len(renamed) == 0 {
		return
	}
	out := make(Object, 0, len(*o))
	for _, m := range *o {
		now, old := names[m.Name]
		if !old {
			now = m.Name
		}
		met, several := renamed[now]
		if several && (met || !old) {
			continue
		}
		if several {
			renamed[now] = true
		}
		out = append(out, Member{now, m.Value})
	}
	*o = out
}

// Clone copies the list of members; values are shared.
func (o Object) Clone() Object { return slices.Clone(o) }

// Fields gives the members whose names do not begin with $.
func (o Object) Fields() Object {
	out := make(Object, 0, len(o))
	for _, m := range o {
		if !strings.HasPrefix(m.Name, "$") {
			out = append(out, m)
		}
	}
	return out
}

// Append writes the object as compact JSON.
func (o Object) Append(b []byte) []byte {
	b = append(b, '{')
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, m.Name)
		b = append(b, ':')
		b = append(b, m.Value...)
	}
	return append(b, '}')
}

// MarshalJSON writes the object, members in order.
func (o Object) MarshalJSON() ([]byte, error) { return o.Append(nil), nil }

// Quote gives s as a JSON string.
func Quote(s string) jsontext.Value {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil { // invalid UTF-8: AppendQuote has put U+FFFD in its place
		return b
	}
	return b
}

// Unquote gives the text of a JSON string, or "" for any other value.
func Unquote(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	if !bytes.ContainsRune(v, '\\') {
		return string(v[1 : len(v)-1])
	}
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(b)
}

// Elements gives the values of a JSON array; false for anything else. They are the caller's.
func Elements(v jsontext.Value) ([]jsontext.Value, bool) {
	if v.Kind() != '[' {
		return nil, false
	}
	var out []jsontext.Value
	d := jsontext.NewDecoder(strings.NewReader(string(v)))
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	for d.PeekKind() != ']' {
		e, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		out = append(out, e.Clone())
	}
	return out, true
}

// IsNull reports whether v is absent or the JSON null.
func IsNull(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == 'n' }

// WithContext splices "$context":"https://{base}/~{tenant}" behind $id into a stored document.
func WithContext(doc []byte, base, tenant string) []byte {
	const prefix = `"$id":"`
	i := bytes.Index(doc, []byte(prefix))
	if i < 0 {
		return doc
	}
	end := i + len(prefix)
	j := bytes.IndexByte(doc[end:], '"')
	if j < 0 {
		return doc
	}
	end += j + 1
	out := make([]byte, 0, len(doc)+len(base)+len(tenant)+32)
	out = append(out, doc[:end]...)
	out = append(out, `,"$context":"https://`...)
	out = append(out, base...)
	out = append(out, "/~"...)
	out = append(out, tenant...)
	out = append(out, '"')
	return append(out, doc[end:]...)
}

// depth is the deepest nesting of compact, valid JSON.
func depth(v jsontext.Value) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(v); i++ {
		switch c := v[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}
