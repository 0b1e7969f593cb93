package duck

import (
	"strconv"
	"strings"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// plainNames are the types that need no parameters, as DuckDB spells them.
var plainNames = map[bindings.Type]string{
	bindings.TypeBoolean: "BOOLEAN", bindings.TypeTinyInt: "TINYINT", bindings.TypeSmallInt: "SMALLINT",
	bindings.TypeInteger: "INTEGER", bindings.TypeBigInt: "BIGINT", bindings.TypeUTinyInt: "UTINYINT",
	bindings.TypeUSmallInt: "USMALLINT", bindings.TypeUInteger: "UINTEGER", bindings.TypeUBigInt: "UBIGINT",
	bindings.TypeFloat: "FLOAT", bindings.TypeDouble: "DOUBLE", bindings.TypeTimestamp: "TIMESTAMP", bindings.TypeDate: "DATE",
	bindings.TypeTime: "TIME", bindings.TypeInterval: "INTERVAL", bindings.TypeHugeInt: "HUGEINT",
	bindings.TypeUHugeInt: "UHUGEINT", bindings.TypeVarchar: "VARCHAR", bindings.TypeBlob: "BLOB",
	bindings.TypeTimestampS: "TIMESTAMP_S", bindings.TypeTimestampMS: "TIMESTAMP_MS", bindings.TypeTimestampNS: "TIMESTAMP_NS",
	bindings.TypeEnum: "ENUM", bindings.TypeUUID: "UUID", bindings.TypeBit: "BIT", bindings.TypeTimeTZ: "TIME WITH TIME ZONE",
	bindings.TypeTimestampTZ: "TIMESTAMP WITH TIME ZONE", bindings.TypeBigNum: "BIGNUM", bindings.TypeSQLNull: "NULL",
	bindings.TypeTimeNS: "TIME_NS", bindings.TypeGeometry: "GEOMETRY", bindings.TypeVariant: "VARIANT", bindings.TypeUnion: "UNION",
}

// typeName spells a type as DuckDB does. It destroys the type.
func typeName(t bindings.LogicalType) string {
	defer bindings.DestroyLogicalType(&t)
	if alias := bindings.LogicalTypeGetAlias(t); alias != "" {
		return alias
	}
	switch id := bindings.GetTypeId(t); id {
	case bindings.TypeDecimal:
		return "DECIMAL(" + strconv.Itoa(int(bindings.DecimalWidth(t))) + "," + strconv.Itoa(int(bindings.DecimalScale(t))) + ")"
	case bindings.TypeList:
		return typeName(bindings.ListTypeChildType(t)) + "[]"
	case bindings.TypeArray:
		return typeName(bindings.ArrayTypeChildType(t)) + "[" + strconv.FormatUint(uint64(bindings.ArrayTypeArraySize(t)), 10) + "]"
	case bindings.TypeMap:
		return "MAP(" + typeName(bindings.MapTypeKeyType(t)) + ", " + typeName(bindings.MapTypeValueType(t)) + ")"
	case bindings.TypeStruct:
		fields := make([]string, bindings.StructTypeChildCount(t))
		for i := range fields {
			place := bindings.IdxT(i)
			fields[i] = bindings.StructTypeChildName(t, place) + " " + typeName(bindings.StructTypeChildType(t, place))
		}
		return "STRUCT(" + strings.Join(fields, ", ") + ")"
	default:
		return plainNames[id]
	}
}
