/* An external delegate of a few lines that behaves as libedgetpu does, well or badly.
 *
 * It takes the nodes of the custom op `edgetpu-custom-op`, whose options here begin with a small
 * int8 dense layer, and computes them. What it does wrong is a word in the file that the environment variable
 * GREEN_EDGE_TEST_DELEGATE names, read again at each step: fine, refuse, hang-create, crash-create,
 * refuse-prepare, crash-prepare, hang-invoke, crash-invoke, fail-invoke, wrong, near, chatter.
 * A second word is the version that `edgetpu_version` tells.
 *
 * The structures follow the public TensorFlow Lite C API (core/c/common.h), as far as they are used;
 * what libedgetpu itself rests on, too.
 */
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { kOk = 0, kError = 1 } Status;

typedef struct {
  int size;
  int data[];
} IntArray;

typedef struct {
  int type;
  void *data;
  IntArray *dims;
  struct {
    float scale;
    int32_t zero_point;
  } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  void *delegate;
  int buffer_handle;
  char data_is_stale, is_variable;
  struct {
    int type;
    void *params;
  } quantization;
  void *sparsity;
  const IntArray *dims_signature;
} Tensor;

typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
  IntArray *inputs, *outputs, *intermediates, *temporaries;
  void *user_data, *builtin_data;
  const void *custom_initial_data;
  int custom_initial_data_size;
  Delegate *delegate;
  char might_have_side_effect;
} Node;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  Status (*prepare)(Context *, Node *);
  Status (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *registration_external;
  void *(*async_kernel)(Context *, Node *);
  uint64_t inplace_operator;
  /* It is passed by value: a runtime with more fields than we know reads zeros. */
  void *reserved[8];
} Registration;

struct Context {
  size_t tensors_size;
  Status (*GetExecutionPlan)(Context *, IntArray **);
  Tensor *tensors;
  void *impl_;
  Status (*ResizeTensor)(Context *, Tensor *, IntArray *);
  void (*ReportError)(Context *, const char *, ...);
  Status (*AddTensors)(Context *, int, int *);
  Status (*GetNodeAndRegistration)(Context *, int, Node **, Registration **);
  Status (*ReplaceNodeSubsetsWithDelegateKernels)(Context *, Registration, const IntArray *,
                                                  Delegate *);
};

struct Delegate {
  void *data_;
  Status (*Prepare)(Context *, Delegate *);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *opaque_delegate_builder;
};

typedef struct {
  Delegate *delegate;
  IntArray *nodes_to_replace, *input_tensors, *output_tensors;
} DelegateParams;

/* What the options of the custom op begin with; then, for each output, a float multiplier, an int32
 * bias and its int8 weights: all multipliers, all biases, all weights. */
typedef struct {
  int32_t inputs, outputs, x_zero, y_zero;
} Layer;

typedef struct {
  const Layer *layer;
} Kernel;

static char mode[64], version[64];

static int told(const char *word) {
  const char *path = getenv("GREEN_EDGE_TEST_DELEGATE");
  FILE *file = path ? fopen(path, "r") : NULL;
  strcpy(mode, "fine");
  strcpy(version, "14");
  if (file) {
    if (fscanf(file, "%63s %63s", mode, version) < 1) strcpy(mode, "fine");
    fclose(file);
  }
  return strcmp(mode, word) == 0;
}

/* For ever, and a file beside the word's says that it has begun. */
static void hang(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s.hung", getenv("GREEN_EDGE_TEST_DELEGATE"));
  FILE *file = fopen(path, "w");
  if (file) fclose(file);
  for (;;) pause();
}

static void *init(Context *context, const char *buffer, size_t length) {
  const DelegateParams *params = (const DelegateParams *)buffer;
  Node *node;
  Registration *registration;
  Kernel *kernel = malloc(sizeof *kernel);
  (void)length;
  context->GetNodeAndRegistration(context, params->nodes_to_replace->data[0], &node, &registration);
  kernel->layer = node->custom_initial_data;
  return kernel;
}

static void finish(Context *context, void *buffer) {
  (void)context;
  free(buffer);
}

static Status prepare(Context *context, Node *node) {
  (void)node;
  if (told("crash-prepare")) raise(SIGSEGV);
  if (told("refuse-prepare")) {
    context->ReportError(context, "the package is for another chip");
    return kError;
  }
  return kOk;
}

static Status invoke(Context *context, Node *node) {
  const Layer *layer = ((Kernel *)node->user_data)->layer;
  const float *multipliers = (const float *)(layer + 1);
  const int32_t *biases = (const int32_t *)(multipliers + layer->outputs);
  const int8_t *weights = (const int8_t *)(biases + layer->outputs);
  if (told("hang-invoke")) hang();
  if (told("crash-invoke")) raise(SIGSEGV);
  if (told("chatter")) {
    puts("a library that prints to standard output");
    fflush(stdout);
  }
  if (told("fail-invoke")) {
    context->ReportError(context, "USB transfer error 1 [LibUsbDataOutCallback]");
    return kError;
  }
  const int8_t *x = context->tensors[node->inputs->data[0]].data;
  int8_t *y = context->tensors[node->outputs->data[0]].data;
  for (int o = 0; o < layer->outputs; o++) {
    int32_t sum = biases[o];
    for (int i = 0; i < layer->inputs; i++) 
      sum += (x[i] - layer->x_zero) * weights[o * layer->inputs + i];
    float value = roundf((float)sum * multipliers[o]) + (float)layer->y_zero;
    if (told("near")) value += 1;
    if (told("wrong")) value = -value - 40;
    y[o] = (int8_t)fminf(fmaxf(value, -128), 127);
  }
  return kOk;
}

static Status delegate_prepare(Context *context, Delegate *delegate) {
  IntArray *plan;
  if (context->GetExecutionPlan(context, &plan) != kOk) return kError;
  IntArray *ours = calloc(1, sizeof(IntArray) + sizeof(int) * (size_t)plan->size);
  for (int i = 0; i < plan->size; i++) {
    Node *node;
    Registration *registration;
    if (context->GetNodeAndRegistration(context, plan->data[i], &node, &registration) != kOk)
      return kError;
    if (registration->custom_name && !strcmp(registration->custom_name, "edgetpu-custom-op"))
      ours->data[ours->size++] = plan->data[i];
  }
  Registration kernel = {.init = init,
                         .free = finish,
                         .prepare = prepare,
                         .invoke = invoke,
                         .custom_name = "TestEdgeTpuDelegate",
                         .version = 1};
  Status status =
      context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, ours, delegate);
  free(ours);
  return status;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count,
                                        void (*report_error)(const char *)) {
  for (size_t i = 0; i < count; i++) fprintf(stderr, "option %s=%s\n", keys[i], values[i]);
  if (told("hang-create")) hang();
  if (told("crash-create")) abort();
  if (told("refuse")) {
    report_error("no Edge TPU answers");
    return NULL;
  }
  Delegate *delegate = calloc(1, sizeof *delegate);
  delegate->Prepare = delegate_prepare;
  /* kTfLiteDelegateFlagsAllowDynamicTensors: else the runtime prepares the op that it lacks first. */
  delegate->flags = 1;
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }

/* As libedgetpu's edgetpu_c.h has it. */
const char *edgetpu_version(void) {
  static char text[128];
  told("");
  snprintf(text, sizeof text, "BuildLabel(COMPILER=test), RuntimeVersion(%s)", version);
  return text;
}
