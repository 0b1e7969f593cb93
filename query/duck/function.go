package duck

/*
#include <stdlib.h>

void headlesslyTextFunction(void *, void *, void *);
void headlesslyDropFunction(void *);
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// TextFunction makes text of texts. It is called from several threads at once; the arguments must not be kept.
type TextFunction func(args []string) (string, error)

// textFunction is what DuckDB keeps of a TextFunction.
type textFunction struct {
	call  TextFunction
	arity int
}

// Register makes a function of text known to the whole database. A null among the arguments gives null.
func (c *Conn) Register(name string, arity int, call TextFunction) error {
	f := bindings.CreateScalarFunction()
	defer bindings.DestroyScalarFunction(&f)
	varchar := bindings.CreateLogicalType(bindings.TypeVarchar)
	defer bindings.DestroyLogicalType(&varchar)
	bindings.ScalarFunctionSetName(f, name)
	for range arity {
		bindings.ScalarFunctionAddParameter(f, varchar)
	}
	bindings.ScalarFunctionSetReturnType(f, varchar)
	bindings.ScalarFunctionSetFunction(f, unsafe.Pointer(C.headlesslyTextFunction))
	handle := C.malloc(C.size_t(unsafe.Sizeof(cgo.Handle(0)))) // C keeps it: it must not lie in Go's memory
	*(*cgo.Handle)(handle) = cgo.NewHandle(&textFunction{call, arity})
	bindings.ScalarFunctionSetExtraInfo(f, handle, unsafe.Pointer(C.headlesslyDropFunction))
	if bindings.RegisterScalarFunction(c.handle, f) == bindings.StateError {
		return fmt.Errorf("register function %s: DuckDB refuses it", name)
	}
	return nil
}

//export headlesslyDropFunction
func headlesslyDropFunction(handle unsafe.Pointer) {
	(*(*cgo.Handle)(handle)).Delete()
	C.free(handle)
}

// headlesslyTextFunction is what DuckDB calls for each chunk of rows.
//
//export headlesslyTextFunction
func headlesslyTextFunction(info, input, output unsafe.Pointer) {
	handle := bindings.ScalarFunctionGetExtraInfo(bindings.FunctionInfo{Ptr: info})
	f := (*(*cgo.Handle)(handle)).Value().(*textFunction)
	if err := f.rows(bindings.DataChunk{Ptr: input}, bindings.Vector{Ptr: output}); err != nil {
		bindings.ScalarFunctionSetError(bindings.FunctionInfo{Ptr: info}, err.Error())
	}
}

// rows calls the function for each row. A panic must not unwind into C.
func (f *textFunction) rows(input bindings.DataChunk, output bindings.Vector) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	columns := make([]Column, f.arity)
	for i := range columns {
		columns[i].Type = Varchar
	}
	chunk := Chunk{handle: input}
	chunk.read(columns)
	args := make([]string, f.arity)
	for row := range chunk.Rows {
		if !chunk.texts(row, args) {
			bindings.VectorEnsureValidityWritable(output)
			bindings.ValiditySetRowInvalid(bindings.VectorGetValidity(output), bindings.IdxT(row))
			continue
		}
		out, err := f.call(args)
		if err != nil {
			return err
		}
		bindings.VectorAssignStringElement(output, bindings.IdxT(row), out)
	}
	return nil
}

// texts gives the values of a row of text; false if one is null.
func (c *Chunk) texts(row int, out []string) bool {
	for i := range out {
		if c.Columns[i].Null(row) {
			return false
		}
		out[i] = string(c.Columns[i].Text(row))
	}
	return true
}
