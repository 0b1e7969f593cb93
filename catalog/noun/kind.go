package noun

// Kind is the type of a field, as the notation spells it.
type Kind string

// The kinds of fields. Columns of relationships have the kind ID.
const (
	String    Kind = "string"
	Number    Kind = "number" // float64
	Boolean   Kind = "boolean"
	Date      Kind = "date"
	Datetime  Kind = "datetime"
	JSON      Kind = "json"
	URL       Kind = "url"
	Email     Kind = "email"
	ID        Kind = "id"
	Text      Kind = "text"
	Int       Kind = "int"     // int64
	Decimal   Kind = "decimal" // exact, with precision and scale
	Timestamp Kind = "timestamp"
	Markdown  Kind = "markdown"
	Float     Kind = "float"
	UUID      Kind = "uuid"
	ULID      Kind = "ulid"
	Enum      Kind = "enum" // one of a closed set of strings
)

// kindOf finds the kind with this exact spelling. Enum has a notation of its own and is not among them.
func kindOf(word string) (Kind, bool) {
	switch k := Kind(word); k {
	case String, Number, Boolean, Date, Datetime, JSON, URL, Email, ID, Text, Int, Decimal, Timestamp, Markdown, Float,
		UUID, ULID:
		return k, true
	}
	return "", false
}

// Text says whether values are free text, such as full-text search looks at.
func (k Kind) Text() bool {
	switch k {
	case String, Text, URL, Email, Markdown:
		return true
	}
	return false
}

// Numeric says whether values are numbers.
func (k Kind) Numeric() bool {
	switch k {
	case Number, Int, Decimal, Float:
		return true
	}
	return false
}

// Bare says whether values stand without quotes in JSON: numbers, booleans and json.
func (k Kind) Bare() bool { return k.Numeric() || k == Boolean || k == JSON }
