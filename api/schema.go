package api

import (
	"encoding/json"
	"net/http"

	"headless.ly/catalog/noun"
)

// discovered is the document at / (interfaces.md 1.6). Without contexts every host is the bare one: all nouns.
type discovered struct {
	Name      string            `json:"name"`
	Category  string            `json:"category"`
	Version   string            `json:"version"`
	Resources []string          `json:"resources"`
	Protocols map[string]string `json:"protocols"`
}

// discovery: GET /
func discovery(r *request) error {
	base := "https://" + r.s.cfg.Base
	d := discovered{
		Name: r.s.cfg.Base, Category: "bare", Version: r.s.cfg.Version,
		Protocols: map[string]string{
			"api": base + "/api", "rpc": base + "/rpc", "mcp": base + "/mcp", "openapi": base + "/openapi", "events": base + "/events",
		},
	}
	for _, n := range r.s.nouns.All() {
		d.Resources = append(d.Resources, n.Slugs.RPC)
	}
	return r.sendJSON(http.StatusOK, d)
}

// summary is one line of GET /api/schema.
type summary struct {
	Name          string `json:"name"`
	Plural        string `json:"plural"`
	Slug          string `json:"slug"`
	Fields        int    `json:"fields"`
	Relationships int    `json:"relationships"`
	Verbs         int    `json:"verbs"`
}

// schemaSummary: GET /api/schema, without an envelope, as published clients read it
func schemaSummary(r *request) error {
	lines := []summary{}
	for _, n := range r.s.nouns.All() {
		lines = append(lines, summary{n.Name, n.Slugs.RPC, n.Slugs.Collection, len(n.Fields), len(n.Relationships), len(n.Verbs)})
	}
	return r.sendJSON(http.StatusOK, lines)
}

// nounSchema is a noun in the form of the published clients: lists, not maps (interfaces.md 5.3).
type nounSchema struct {
	Name          string               `json:"name"`
	Singular      string               `json:"singular"`
	Plural        string               `json:"plural"`
	Slug          string               `json:"slug"`
	Domain        string               `json:"domain"`
	IDPrefix      string               `json:"idPrefix"`
	Description   string               `json:"description,omitempty"`
	Fields        []fieldSchema        `json:"fields"`
	Relationships []relationshipSchema `json:"relationships"`
	Verbs         []verbSchema         `json:"verbs"`
	DisabledVerbs []string             `json:"disabledVerbs"`
}

type fieldSchema struct {
	Name     string          `json:"name"`
	Kind     string          `json:"kind"` // field or enum
	Type     noun.Kind       `json:"type"`
	Required bool            `json:"required"`
	Indexed  bool            `json:"indexed"`
	Unique   bool            `json:"unique"`
	Array    bool            `json:"isArray,omitempty"`
	Values   []string        `json:"values,omitempty"`
	Default  json.RawMessage `json:"default,omitempty"`
	Doc      string          `json:"description,omitempty"`
}

type relationshipSchema struct {
	Name       string `json:"name"`
	Operator   string `json:"operator"` // -> holds the key, <- is computed; ~> and <~ match by similarity
	TargetType string `json:"targetType"`
	Backref    string `json:"backref,omitempty"`
	IsArray    bool   `json:"isArray"`
	Required   bool   `json:"required,omitempty"`
	Derived    bool   `json:"derived,omitempty"` // follows from the other side's declaration
}

type verbSchema struct {
	Name     string `json:"name"`
	Action   string `json:"action"`
	Activity string `json:"activity"`
	Event    string `json:"event"`
}

// schema: GET /api/schema/{noun} and /~tenant/nouns/{noun}
func schema(r *request) error { return r.sendJSON(http.StatusOK, schemaOf(r.noun)) }

// schemas: GET /~tenant/nouns
func schemas(r *request) error {
	all := []nounSchema{}
	for _, n := range r.s.nouns.All() {
		all = append(all, schemaOf(n))
	}
	return r.sendJSON(http.StatusOK, all)
}

func schemaOf(n *noun.Noun) nounSchema {
	s := nounSchema{
		Name: n.Name, Singular: n.Singular, Plural: n.Plural, Slug: n.Slugs.Collection, Domain: n.Domain, IDPrefix: n.IDPrefix,
		Description: n.Description,
		Fields:      []fieldSchema{}, Relationships: []relationshipSchema{}, Verbs: []verbSchema{},
		DisabledVerbs: append([]string{}, n.Disabled...),
	}
	for _, f := range n.Fields {
		kind := "field"
		if f.Kind == noun.Enum {
			kind = "enum"
		}
		field := fieldSchema{
			Name: f.Name, Kind: kind, Type: f.Kind, Required: f.Required, Indexed: f.Indexed, Unique: f.Unique,
			Array: f.Array, Values: f.Enum, Doc: f.Doc,
		}
		if f.Default != "" {
			field.Default = json.RawMessage(f.Literal(f.Default))
		}
		s.Fields = append(s.Fields, field)
	}
	for _, rel := range n.Relationships {
		s.Relationships = append(s.Relationships, relationshipSchema{
			Name: rel.Name, Operator: operator(rel), TargetType: rel.Target, Backref: rel.Inverse, IsArray: rel.Many,
			Required: rel.Required, Derived: rel.Derived,
		})
	}
	for _, v := range n.Verbs {
		s.Verbs = append(s.Verbs, verbSchema{v.Action, v.Action, v.Activity, v.Event})
	}
	return s
}

func operator(rel noun.Relationship) string {
	switch {
	case rel.Forward && rel.Fuzzy:
		return "~>"
	case rel.Forward:
		return "->"
	case rel.Fuzzy:
		return "<~"
	default:
		return "<-"
	}
}
