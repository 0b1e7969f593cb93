package query

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
)

// jsonType writes the JSON type of a value inside a JSON column: null where there is none, 'NULL' for a JSON null.
func (c *compiler) jsonType(v value) {
	c.write("json_type(", v.sql(), ", ")
	c.bind(v.pointer)
	c.write(")")
}

// jsonText writes the text of a value inside a JSON column: a string without its quotes, a number as it is spelled.
func (c *compiler) jsonText(v value) {
	c.write("json_extract_string(", v.sql(), ", ")
	c.bind(v.pointer)
	c.write(")")
}

// compareJSON compares a value inside a JSON column, by type. Objects and arrays are equal by their text: the order of
// members counts.
func (c *compiler) compareJSON(v value, op operator, operand jsontext.Value) {
	switch operand.Kind() {
	case '"':
		c.write("(")
		c.jsonType(v)
		c.write(" = 'VARCHAR' and ")
		c.jsonText(v)
		c.write(comparison(op))
		c.bind(entity.Unquote(operand))
		c.write(")")
	case '0':
		c.compareJSONNumber(v, op, operand)
	case 't', 'f', '{', '[':
		if op != opEqual {
			c.write("false")
			return
		}
		c.write("json_extract(", v.sql(), ", ")
		c.bind(v.pointer)
		c.write(") = json_extract(")
		c.bind(string(operand))
		c.write(", '$')")
	default:
		c.write("false")
	}
}

// compareJSONNumber keeps the 64 bits of integers; where either side is no integer, both are doubles.
func (c *compiler) compareJSONNumber(v value, op operator, operand jsontext.Value) {
	f := float(operand)
	i, exact := integer(operand, f)
	c.write("case ")
	c.jsonType(v)
	for _, kind := range []string{"UBIGINT", "BIGINT", "DOUBLE"} {
		c.write(" when ", quoteText(kind), " then try_cast(")
		c.jsonText(v)
		if exact && strings.HasSuffix(kind, "BIGINT") {
			c.write(" as hugeint)", comparison(op))
			c.bind(i)
		} else {
			c.write(" as double)", comparison(op))
			c.bind(f)
		}
	}
	c.write(" end")
}
