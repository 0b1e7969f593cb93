package ingest

import (
	"math"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
)

// canonical checks a value against a field and gives the form that is stored; msg says what is wrong with it.
func canonical(f *noun.Field, v jsontext.Value) (out jsontext.Value, msg string) {
	if f.Array {
		return canonicalArray(f, v)
	}
	switch f.Kind {
	case noun.JSON:
		return v, ""
	case noun.Number, noun.Float:
		return number(v)
	case noun.Int:
		if _, err := strconv.ParseInt(string(v), 10, 64); err != nil {
			return nil, "expected a whole number"
		}
		return v, ""
	case noun.Decimal:
		if v.Kind() == '"' {
			v = jsontext.Value(entity.Unquote(v))
		}
		return number(v)
	case noun.Boolean:
		if k := v.Kind(); k != 't' && k != 'f' {
			return nil, "expected true or false"
		}
		return v, ""
	}
	if v.Kind() != '"' {
		return nil, "expected a text"
	}
	return canonicalText(f, v)
}

// canonicalText checks the kinds that are JSON strings.
func canonicalText(f *noun.Field, v jsontext.Value) (jsontext.Value, string) {
	text := entity.Unquote(v)
	switch f.Kind {
	case noun.Enum:
		if !f.Accepts(text) {
			return nil, "expected " + oneOf(f.Enum)
		}
	case noun.Datetime, noun.Timestamp:
		t, ok := parseInstant(text)
		if !ok {
			return nil, "expected an ISO 8601 instant, such as 2026-01-15T10:00:00Z"
		}
		return entity.Quote(t.Format(timeFormat)), ""
	case noun.Date:
		t, ok := parseInstant(text)
		if !ok {
			return nil, "expected an ISO 8601 date, such as 2026-01-15"
		}
		return entity.Quote(t.Format(time.DateOnly)), ""
	case noun.Email:
		if a, err := mail.ParseAddress(text); err != nil || a.Address != text {
			return nil, "expected an e-mail address"
		}
	case noun.URL:
		if u, err := url.Parse(text); err != nil || u.Scheme == "" {
			return nil, "expected a URL"
		}
	}
	return v, ""
}

func canonicalArray(f *noun.Field, v jsontext.Value) (jsontext.Value, string) {
	if v.Kind() != '[' {
		return nil, "expected an array"
	}
	one := *f
	one.Array = false
	out := []byte{'['}
	rest := jsontext.NewDecoder(strings.NewReader(string(v)))
	if _, err := rest.ReadToken(); err != nil {
		return nil, "expected an array"
	}
	for rest.PeekKind() != ']' {
		item, err := rest.ReadValue()
		if err != nil {
			return nil, "expected an array"
		}
		good, msg := canonical(&one, item.Clone())
		if msg != "" {
			return nil, msg + " in each place"
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, good...)
	}
	return append(out, ']'), ""
}

// number accepts a JSON number that a DOUBLE can hold; its spelling is kept.
func number(v jsontext.Value) (jsontext.Value, string) {
	n, err := strconv.ParseFloat(string(v), 64)
	if k := v.Kind(); err != nil || math.IsInf(n, 0) || k != '0' {
		return nil, "expected a number"
	}
	return v, ""
}

// instants are the spellings of an instant; without a zone it is UTC.
var instants = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly}

// parseInstant reads an ISO 8601 date or instant.
func parseInstant(s string) (time.Time, bool) {
	for _, layout := range instants {
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC().Truncate(time.Millisecond)
			return t, t.Year() >= 1 && t.Year() <= 9999
		}
	}
	return time.Time{}, false
}

// oneOf lists enum values as people read them: Low, Medium or High.
func oneOf(values []string) string {
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	return strings.Join(values[:len(values)-1], ", ") + " or " + values[len(values)-1]
}
