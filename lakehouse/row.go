package lakehouse

import "headless.ly/catalog/noun"

// Row decodes the stored document of an event into one value per column of TableColumns(n) except tenant, in that order.
// The values are as the comments of the Types say. A value that does not fit its column (written under an older
// declaration) is kept in _extra under its name, as are all undeclared fields.
func Row(n *noun.Noun, e *Event) ([]any, error) { panic("not yet") }
