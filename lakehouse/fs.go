package lakehouse

import "headless.ly/catalog"

// FS is the file system that the lake is kept on.
type FS = catalog.FS

// Steps lists the names that Config.Step can hear: each durable action of publishing, before and after.
func Steps() []string { return catalog.Steps() }
