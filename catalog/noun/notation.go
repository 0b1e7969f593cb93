package noun

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Property is one parsed line of a noun's declaration. Exactly one of its four parts is set.
type Property struct {
	Field        *Field
	Relationship *Relationship
	Verb         *Verb
	Disabled     string // create, update or delete
}

// Parse reads the notation of one property. The first rule that fits decides what it is:
//
//	null                        the verb create, update or delete is switched off
//	-> Noun.inverse             forward relationship; <- Noun.field[] reverse; ~> and <~ the same by similarity
//	Lead | Qualified            enum
//	enum(Lead, Qualified)=Lead  enum with a default; may carry marks before the default
//	Qualified                   custom verb, by its past form
//	string!##=x                 field: type, then marks in the order required, index, array, default
//
// The error of a bad notation names the property.
func Parse(name, notation string) (Property, error) {
	p, err := parse(name, strings.TrimSpace(notation))
	if err != nil {
		return Property{}, fmt.Errorf("property %s: %w", name, err)
	}
	return p, nil
}

func parse(name, s string) (Property, error) {
	if err := checkName(name); err != nil {
		return Property{}, err
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == '\x7f' || r == '\uFFFD' }); i >= 0 {
		return Property{}, fmt.Errorf("%q holds a character that is not text", s)
	}
	switch {
	case s == "null":
		return parseNull(name)
	case arrow(s) != "":
		r, err := parseRelationship(name, s)
		return Property{Relationship: r}, err
	case strings.Contains(s, "|") && !strings.HasPrefix(s, "enum("):
		f, err := parsePipes(name, s)
		return Property{Field: f}, err
	case isVerb(name, s):
		v := declare(name, s)
		return Property{Verb: &v}, nil
	}
	f, err := parseField(name, s)
	return Property{Field: f}, err
}

// checkName admits what every door, SQL and an outside engine can use as a column.
func checkName(name string) error {
	if !isWord(name) {
		return fmt.Errorf("%q is not a name: letters, digits and underscores, beginning with a letter", name)
	}
	switch strings.ToLower(name) {
	case "id", "tenant":
		return fmt.Errorf("%q is the name of a column that every table has", name)
	}
	return nil
}

func parseNull(name string) (Property, error) {
	switch name {
	case "create", "update", "delete":
		return Property{Disabled: name}, nil
	}
	return Property{}, fmt.Errorf("null switches off create, update or delete only")
}

// isVerb says whether the notation is the past form of a verb: one PascalCase word that is no type in another case.
func isVerb(name, s string) bool {
	switch name {
	case "create", "update", "delete", "get", "find":
		return false
	}
	if _, isType := kindOf(strings.ToLower(s)); isType || !isLower(name[0]) {
		return false
	}
	return isPascal(s)
}

// arrow finds the first operator of a relationship; "" if there is none.
func arrow(s string) string {
	best, at := "", len(s)
	for _, op := range []string{"->", "<-", "~>", "<~"} {
		if i := strings.Index(s, op); i >= 0 && i < at {
			best, at = op, i
		}
	}
	return best
}

// parseRelationship ignores text before the operator: it is a question for people.
func parseRelationship(name, s string) (*Relationship, error) {
	op := arrow(s)
	_, s, _ = strings.Cut(s, op)
	r := &Relationship{Name: name, Forward: op[1] == '>', Fuzzy: strings.Contains(op, "~")}
	s = strings.TrimSpace(s)
	if rest, ok := strings.CutSuffix(s, "!"); ok && r.Forward {
		s, r.Required = rest, true
	}
	s, r.Many = strings.CutSuffix(s, "[]")
	target, back, dotted := strings.Cut(s, ".")
	if !isPascal(target) {
		return nil, fmt.Errorf("the target %q is not the name of a noun", target)
	}
	if dotted && !isWord(back) {
		return nil, fmt.Errorf("%q is not the name of a relationship of %s", back, target)
	}
	r.Target, r.Inverse, r.named = target, back, back
	if !r.Forward {
		r.Via = back
	}
	return r, nil
}

func parsePipes(name, s string) (*Field, error) {
	values, err := enumValues(strings.Split(s, "|"), false)
	if err != nil {
		return nil, fmt.Errorf("%w; write enum(a,b) for an enum with marks or a default", err)
	}
	return &Field{Name: name, Kind: Enum, Enum: values}, nil
}

// enumValues checks the values of an enum: distinct, not empty, none of them holding a sign of the notation.
func enumValues(parts []string, quoted bool) ([]string, error) {
	for i, v := range parts {
		v = strings.TrimSpace(v)
		if quoted && len(v) >= 2 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
			v = strings.TrimSpace(v[1 : len(v)-1])
		}
		if v == "" {
			return nil, fmt.Errorf("an enum value is empty")
		}
		if strings.ContainsAny(v, `!?#=[]()|,"'`) {
			return nil, fmt.Errorf("enum value %q holds a mark", v)
		}
		if slices.Contains(parts[:i], v) {
			return nil, fmt.Errorf("enum value %q stands twice", v)
		}
		parts[i] = v
	}
	return parts, nil
}

// parseField reads the marks from the right end.
func parseField(name, s string) (*Field, error) {
	f := &Field{Name: name}
	s, err := f.cutDefault(s)
	if err != nil {
		return nil, err
	}
	s, f.Array = strings.CutSuffix(s, "[]")
	if s, f.Unique = strings.CutSuffix(s, "##"); f.Unique {
		f.Indexed = true
	} else {
		s, f.Indexed = strings.CutSuffix(s, "#")
	}
	if s, f.Required = strings.CutSuffix(s, "!"); !f.Required {
		s = strings.TrimSuffix(s, "?")
	}
	if err := f.parseType(s); err != nil {
		return nil, err
	}
	if f.Array && (f.Unique || f.Kind == Enum) {
		return nil, fmt.Errorf("an array can be neither unique nor an enum")
	}
	if f.Default != "" && !f.holds(f.Default) {
		return nil, fmt.Errorf("the default %q is not a value of %s", f.Default, s)
	}
	return f, nil
}

// cutDefault takes the default off, without its quotes. Values of an enum hold no "=", so the first one begins it.
func (f *Field) cutDefault(s string) (string, error) {
	s, def, ok := strings.Cut(s, "=")
	if !ok {
		return s, nil
	}
	def = strings.TrimSpace(def)
	if len(def) >= 2 && def[0] == '"' && def[len(def)-1] == '"' {
		def = def[1 : len(def)-1]
	}
	if def == "" {
		return "", fmt.Errorf("the default is empty")
	}
	f.Default = def
	return strings.TrimSpace(s), nil
}

// parseType reads what is left when the marks are gone.
func (f *Field) parseType(s string) (err error) {
	word, inner, ok := strings.Cut(s, "(")
	if ok {
		if inner, ok = strings.CutSuffix(inner, ")"); !ok {
			return fmt.Errorf("%q lacks its closing parenthesis at the end", s)
		}
		switch word {
		case "enum":
			f.Kind = Enum
			f.Enum, err = enumValues(strings.Split(inner, ","), true)
			return err
		case "decimal":
			f.Kind = Decimal
			return f.parseDigits(inner)
		}
	}
	if f.Kind, ok = kindOf(s); !ok {
		return fmt.Errorf("unknown type %q", s)
	}
	return nil
}

// maxPrecision is the largest precision of a decimal in Iceberg and Parquet.
const maxPrecision = 38

func (f *Field) parseDigits(inner string) error {
	p, s, ok := strings.Cut(inner, ",")
	precision, err := strconv.ParseUint(strings.TrimSpace(p), 10, 8)
	scale, scaleErr := strconv.ParseUint(strings.TrimSpace(s), 10, 8)
	if !ok || err != nil || scaleErr != nil || precision < 1 || precision > maxPrecision || scale > precision {
		return fmt.Errorf("decimal(%s) must be decimal(precision,scale) with precision 1 to %d and scale up to it", inner, maxPrecision)
	}
	f.Precision, f.Scale = int(precision), int(scale)
	return nil
}

// holds says whether the text stands for a value of the field.
func (f *Field) holds(text string) bool {
	switch {
	case f.Array:
		var list []json.RawMessage
		return json.Unmarshal([]byte(text), &list) == nil && list != nil
	case f.Kind == Enum:
		return f.Accepts(text)
	case f.Kind == Boolean:
		return text == "true" || text == "false"
	case f.Kind == Int:
		n, err := strconv.ParseInt(text, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == text
	case f.Kind.Numeric():
		var x float64
		return json.Unmarshal([]byte(text), &x) == nil && (isDigit(text[0]) || text[0] == '-')
	case f.Kind == JSON:
		return json.Valid([]byte(text))
	case f.Kind == Date:
		_, err := time.Parse(time.DateOnly, text)
		return err == nil
	case f.Kind == Datetime || f.Kind == Timestamp:
		_, err := time.Parse(time.RFC3339Nano, text)
		return err == nil
	}
	return true
}

// Notation writes the field as Parse reads it.
func (f *Field) Notation() string {
	var b strings.Builder
	b.WriteString(string(f.Kind))
	switch {
	case f.Kind == Enum:
		b.WriteString("(" + strings.Join(f.Enum, ",") + ")")
	case f.Precision > 0:
		b.WriteString(digits(f.Precision, f.Scale))
	}
	if f.Required {
		b.WriteString("!")
	}
	if f.Unique {
		b.WriteString("##")
	} else if f.Indexed {
		b.WriteString("#")
	}
	if f.Array {
		b.WriteString("[]")
	}
	if f.Default != "" {
		b.WriteString(`="` + f.Default + `"`)
	}
	return b.String()
}

// Notation writes the relationship as Parse reads it.
func (r *Relationship) Notation() string {
	op := "<-"
	switch {
	case r.Forward && r.Fuzzy:
		op = "~>"
	case r.Forward:
		op = "->"
	case r.Fuzzy:
		op = "<~"
	}
	s := op + " " + r.Target
	if r.Inverse != "" {
		s += "." + r.Inverse
	}
	if r.Many {
		s += "[]"
	}
	if r.Required {
		s += "!"
	}
	return s
}

// digits writes the parameters of a decimal.
func digits(precision, scale int) string {
	return "(" + strconv.Itoa(precision) + "," + strconv.Itoa(scale) + ")"
}

// isWord admits letters, digits and underscores beginning with a letter.
func isWord(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (i == 0 || !isDigit(s[i]) && s[i] != '_') {
			return false
		}
	}
	return s != ""
}

// isPascal admits two or more letters beginning with a capital.
func isPascal(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) {
			return false
		}
	}
	return len(s) > 1 && !isLower(s[0])
}

func isLower(c byte) bool  { return 'a' <= c && c <= 'z' }
func isLetter(c byte) bool { return isLower(c) || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
