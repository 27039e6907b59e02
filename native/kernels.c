/* Python's way to kernels that were compiled when the wheel was built: one module for each instruction set.

   A kernel's entry (see compile.py) takes its arguments and gives its results in rows of 64-bit slots, in the
   order of its format. Of an array there are: memory, parent, items, bytes an item, data, lengths, strides.

   Only Python's stable ABI is used, so that one wheel serves all versions from 3.10 on. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>

#include "kernels.h"
#include "table.h"

#define CAPSULE "postproc.kernels.memory"

enum { MEMORY, PARENT, ITEMS, ITEM_SIZE, DATA, LENGTHS };

static int type_number(char code)
{
    switch (code) {
    case '?': return NPY_BOOL;
    case 'b': return NPY_INT8;
    case 'B': return NPY_UINT8;
    case 'h': return NPY_INT16;
    case 'H': return NPY_UINT16;
    case 'i': return NPY_INT32;
    case 'I': return NPY_UINT32;
    case 'q': return NPY_INT64;
    case 'Q': return NPY_UINT64;
    case 'f': return NPY_FLOAT32;
    default: return NPY_FLOAT64;
    }
}

/* Read an array of a format such as "f2"; 0 where it is none. */
static int read_array(PyObject *value, const char *format, int64_t *slots)
{
    if (!PyArray_Check(value))
        return 0;
    PyArrayObject *array = (PyArrayObject *)value;
    int wanted = type_number(format[0]), dimensions = format[1] - '0';
    if (PyArray_NDIM(array) != dimensions || !PyArray_ISCARRAY_RO(array))
        return 0;
    if (PyArray_TYPE(array) != wanted && !PyArray_EquivTypenums(PyArray_TYPE(array), wanted))
        return 0;
    slots[MEMORY] = slots[PARENT] = 0; /* the caller holds it */
    slots[ITEMS] = PyArray_SIZE(array);
    slots[ITEM_SIZE] = PyArray_ITEMSIZE(array);
    slots[DATA] = (int64_t)PyArray_DATA(array);
    for (int axis = 0; axis < dimensions; axis++) {
        slots[LENGTHS + axis] = PyArray_DIM(array, axis);
        slots[LENGTHS + dimensions + axis] = PyArray_STRIDE(array, axis);
    }
    return 1;
}

/* Read a number of a format such as "q."; 0 where it is none, -1 after an error. */
static int read_number(PyObject *value, char code, int64_t *slot)
{
    if (PyArray_Check(value) || PyTuple_Check(value))
        return 0;
    if (code == 'd' || code == 'f') {
        double number = PyFloat_AsDouble(value);
        float single = (float)number;
        if (number == -1.0 && PyErr_Occurred())
            return -1;
        *slot = 0;
        memcpy(slot, code == 'd' ? (void *)&number : (void *)&single, code == 'd' ? sizeof number : sizeof single);
    } else if (code == '?') {
        *slot = PyObject_IsTrue(value);
        if (*slot < 0)
            return -1;
    } else {
        PyObject *index = PyNumber_Index(value);
        if (index == NULL)
            return -1;
        *slot = PyLong_AsLongLong(index);
        Py_DECREF(index);
        if (*slot == -1 && PyErr_Occurred())
            return -1;
    }
    return 1;
}

/* Read arguments up to the end of a format; 0 where they do not fit it, -1 after an error. */
static int read_arguments(PyObject *const *values, Py_ssize_t count, const char *format, int64_t *slots)
{
    Py_ssize_t read = 0;
    PyObject *tuple = NULL; /* the tuple that is being read, and how many of its values are */
    Py_ssize_t inside = 0;
    for (; *format; format++) {
        if (*format == '(') {
            if (read == count || !PyTuple_Check(values[read]))
                return 0;
            tuple = values[read++];
            inside = 0;
            continue;
        }
        if (*format == ')') {
            if (inside != PyTuple_Size(tuple))
                return 0;
            tuple = NULL;
            continue;
        }
        PyObject *value;
        if (tuple == NULL) {
            if (read == count)
                return 0;
            value = values[read++];
        } else {
            if (inside == PyTuple_Size(tuple))
                return 0;
            value = PyTuple_GetItem(tuple, inside++);
        }
        int found;
        if (format[1] == '.') {
            found = read_number(value, format[0], slots++);
        } else {
            found = read_array(value, format, slots);
            slots += LENGTHS + 2 * (format[1] - '0');
        }
        if (found <= 0)
            return found;
        format++;
    }
    return read == count;
}

static void give_back(PyObject *capsule)
{
    release_memory(PyCapsule_GetPointer(capsule, CAPSULE));
}

/* Make an array of what a kernel returned; its memory belongs to the array from here on, also after an error. */
static PyObject *make_array(const char *format, const int64_t *slots)
{
    int dimensions = format[1] - '0';
    npy_intp lengths[NPY_MAXDIMS_LEGACY_ITERS], strides[NPY_MAXDIMS_LEGACY_ITERS];
    for (int axis = 0; axis < dimensions; axis++) {
        lengths[axis] = slots[LENGTHS + axis];
        strides[axis] = slots[LENGTHS + dimensions + axis];
    }
    struct memory *memory = (struct memory *)slots[MEMORY];
    PyObject *array = PyArray_New(&PyArray_Type, dimensions, lengths, type_number(format[0]), strides,
                                  (void *)slots[DATA], 0, NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, NULL);
    if (memory == NULL) { /* a view of an argument's, which this array would not keep alive */
        PyObject *copy = array == NULL ? NULL : PyArray_NewCopy((PyArrayObject *)array, NPY_CORDER);
        Py_XDECREF(array);
        return copy;
    }
    PyObject *owner = array == NULL ? NULL : PyCapsule_New(memory, CAPSULE, give_back);
    if (owner == NULL) {
        release_memory(memory);
        Py_XDECREF(array);
        return NULL;
    }
    if (PyArray_SetBaseObject((PyArrayObject *)array, owner) < 0) { /* has given the owner back */
        Py_DECREF(array);
        return NULL;
    }
    PyArray_UpdateFlags((PyArrayObject *)array, NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS);
    return array;
}

static PyObject *make_number(char code, const int64_t *slot)
{
    double number;
    float single;
    switch (code) {
    case 'd': memcpy(&number, slot, sizeof number); return PyFloat_FromDouble(number);
    case 'f': memcpy(&single, slot, sizeof single); return PyFloat_FromDouble(single);
    case '?': return PyBool_FromLong((*slot & 1) != 0);
    default: return PyLong_FromLongLong(*slot);
    }
}

/* Make what a kernel returned: None, an array or a number, or a tuple of such. All memory finds an owner. */
static PyObject *make_results(const char *format, const int64_t *slots)
{
    if (*format == '\0')
        Py_RETURN_NONE;
    int is_tuple = *format == '(';
    const char *end = format + strlen(format) - is_tuple;
    format += is_tuple;
    PyObject *results = PyTuple_New((end - format) / 2);
    int failed = results == NULL;
    for (Py_ssize_t place = 0; format < end; format += 2, place++) {
        PyObject *value = format[1] == '.' ? make_number(format[0], slots) : make_array(format, slots);
        slots += format[1] == '.' ? 1 : LENGTHS + 2 * (format[1] - '0');
        if (value == NULL)
            failed = 1;
        else if (results == NULL)
            Py_DECREF(value);
        else
            PyTuple_SetItem(results, place, value);
    }
    if (failed) {
        Py_XDECREF(results);
        return NULL;
    }
    if (is_tuple)
        return results;
    PyObject *only = PyTuple_GetItem(results, 0);
    Py_INCREF(only);
    Py_DECREF(results);
    return only;
}

/* Raise what a kernel raised: numba keeps a pickled (class, arguments, place) for each of its statements. */
static void raise_error(const struct raised *raised)
{
    PyObject *pickle = PyImport_ImportModule("pickle");
    PyObject *triple = pickle == NULL ? NULL
        : PyObject_CallMethod(pickle, "loads", "y#", raised->pickled, (Py_ssize_t)raised->size);
    Py_XDECREF(pickle);
    if (triple == NULL)
        return;
    PyObject *kind, *arguments, *place;
    if (PyArg_ParseTuple(triple, "OOO", &kind, &arguments, &place)) {
        PyObject *error = arguments == Py_None ? PyObject_CallObject(kind, NULL)
                                               : PyObject_CallObject(kind, arguments);
        if (error != NULL)
            PyErr_SetObject(kind, error);
        Py_XDECREF(error);
    }
    Py_DECREF(triple);
}

static PyObject *call(PyObject *self, PyObject *const *values, Py_ssize_t count)
{
    const struct kernel *kernel = PyCapsule_GetPointer(self, NULL);
    if (kernel == NULL)
        return NULL;
    const char *name = kernel->name;
    int64_t arguments[MOST_SLOTS], results[MOST_SLOTS];
    for (; kernel->name != NULL && strcmp(kernel->name, name) == 0; kernel++) {
        int found = read_arguments(values, count, kernel->arguments, arguments);
        if (found < 0)
            return NULL;
        if (found == 0)
            continue;
        const struct raised *raised = NULL;
        PyThreadState *state = PyEval_SaveThread();
        int status = kernel->entry(arguments, results, (const void **)&raised);
        PyEval_RestoreThread(state);
        if (status == 0)
            return make_results(kernel->results, results);
        if (raised != NULL)
            raise_error(raised);
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_SystemError, "%s: status %d", name, status);
        return NULL;
    }
    PyErr_Format(PyExc_TypeError,
                 "%s was not compiled for such arguments: set POSTPROC_JIT=1 to have it compiled, and report it",
                 name);
    return NULL;
}

static PyObject *is_supported(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(PROCESSOR_HAS_ALL);
}

static PyMethodDef functions[] = {
    {"is_supported", is_supported, METH_NOARGS, "Whether this processor has all instructions of this module."},
    {NULL, NULL, 0, NULL},
};

static int add_kernels(PyObject *module)
{
    static PyMethodDef definitions[KERNELS];
    PyObject *named = PyDict_New();
    if (named == NULL)
        return -1;
    PyMethodDef *definition = definitions;
    for (const struct kernel *kernel = kernels; kernel->name != NULL; kernel++) {
        if (kernel > kernels && strcmp(kernel->name, kernel[-1].name) == 0)
            continue; /* the same for other numbers */
        *definition = (PyMethodDef){kernel->name, (PyCFunction)(void (*)(void))call, METH_FASTCALL, NULL};
        PyObject *self = PyCapsule_New((void *)kernel, NULL, NULL);
        PyObject *function = self == NULL ? NULL : PyCFunction_NewEx(definition++, self, NULL);
        int status = function == NULL ? -1 : PyDict_SetItemString(named, kernel->name, function);
        Py_XDECREF(self);
        Py_XDECREF(function);
        if (status < 0) {
            Py_DECREF(named);
            return -1;
        }
    }
    int status = PyModule_AddObjectRef(module, "kernels", named);
    Py_DECREF(named);
    return status;
}

static int execute(PyObject *module)
{
    if (PyArray_ImportNumPyAPI() < 0)
        return -1;
    if (PyModule_AddStringConstant(module, "digest", DIGEST) < 0)
        return -1;
    if (PyModule_AddStringConstant(module, "made_by", MADE_BY) < 0)
        return -1;
    return add_kernels(module);
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT, .m_name = MODULE, .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC INIT(void)
{
    return PyModuleDef_Init(&definition);
}
