/* gemm.h with cuBLASLt. The library's matrices are column-major, so a row-major product is given as
 * its transpose: C^T = B^T A^T, with "A" of the library our b and "B" our a. */
#include <cublasLt.h>

#include "engine/cuda/gemm.h"

/* 256 bytes: what the heuristic takes for granted where it is told nothing. */
enum { SHAPES_MAX = 256, ALIGNMENT_MAX = 256, CODES_STEP = 16 };

/* What a product is chosen for; two with the same fields run the same kernel. */
struct shape {
    bn_dtype dtype, out;
    int m, n, k;
    bool a_across, b_across, has_alpha, has_add;
    uint32_t a_alignment, b_alignment, c_alignment; /* bytes */
};

struct plan {
    shape key;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t left, right, result;
    cublasLtMatmulAlgo_t algorithm;
};

struct bn_gemm_library {
    cublasLtHandle_t handle;
    bn_runtime *runtime;
    void *workspace;
    float *constants; /* memory of the device: 0, 1 */
    int count;
    plan plans[SHAPES_MAX];
};

static const char *words(cublasStatus_t status)
{
    if (status == CUBLAS_STATUS_ALLOC_FAILED) return bn_runtime_short();
    return status == CUBLAS_STATUS_SUCCESS ? nullptr : cublasLtGetStatusString(status);
}

bool bn_gemm_takes_i8(int m, int n, int k)
{
    return m % 4 == 0 && n % 4 == 0 && k % CODES_STEP == 0;
}

static bool same(const shape &a, const shape &b)
{
    return a.dtype == b.dtype && a.out == b.out && a.m == b.m && a.n == b.n && a.k == b.k &&
           a.a_across == b.a_across && a.b_across == b.b_across && a.has_alpha == b.has_alpha &&
           a.has_add == b.has_add && a.a_alignment == b.a_alignment &&
           a.b_alignment == b.b_alignment && a.c_alignment == b.c_alignment;
}

static uint32_t alignment_of(const void *memory)
{
    uintptr_t address = reinterpret_cast<uintptr_t>(memory);
    uint32_t alignment = ALIGNMENT_MAX; /* also of NULL */
    while (address % alignment != 0) alignment /= 2;
    return alignment;
}

static cudaDataType_t type_of(bn_dtype dtype)
{
    switch (dtype) {
    case BN_F32:
        return CUDA_R_32F;
    case BN_BF16:
        return CUDA_R_16BF;
    case BN_F16:
        return CUDA_R_16F;
    case BN_I8:
        break;
    }
    return CUDA_R_8I;
}

const char *bn_gemm_open(bn_gemm_library **out, bn_runtime *runtime, void *workspace)
{
    static const float constants[] = {0, 1};
    bn_gemm_library *library = new bn_gemm_library();
    *out = library;
    library->runtime = runtime;
    library->workspace = workspace;
    void *memory = nullptr;
    const char *why = bn_runtime_alloc(runtime, &memory, sizeof constants);
    library->constants = static_cast<float *>(memory);
    if (!why) why = bn_runtime_write(runtime, memory, constants, sizeof constants);
    return why ? why : words(cublasLtCreate(&library->handle));
}

static void release(plan *p)
{
    if (p->product) (void)cublasLtMatmulDescDestroy(p->product);
    if (p->left) (void)cublasLtMatrixLayoutDestroy(p->left);
    if (p->right) (void)cublasLtMatrixLayoutDestroy(p->right);
    if (p->result) (void)cublasLtMatrixLayoutDestroy(p->result);
    *p = {};
}

void bn_gemm_close(bn_gemm_library *library)
{
    if (!library) return;
    for (int i = 0; i < library->count; i++) release(&library->plans[i]);
    if (library->handle) (void)cublasLtDestroy(library->handle);
    bn_runtime_free(library->runtime, library->constants);
    delete library;
}

/* A row-major matrix as its column-major transpose: its rows are the library's columns. */
static cublasStatus_t describe(cublasLtMatrixLayout_t *out, cudaDataType_t type, int rows, int cols)
{
    return cublasLtMatrixLayoutCreate(out, type, static_cast<uint64_t>(cols),
                                      static_cast<uint64_t>(rows), cols);
}

static cublasStatus_t describe_product(plan *p)
{
    const shape &s = p->key;
    bool codes = s.dtype == BN_I8;
    cublasLtPointerMode_t pointers =
        s.has_alpha ? CUBLASLT_POINTER_MODE_DEVICE : CUBLASLT_POINTER_MODE_HOST;
    cublasOperation_t left = s.b_across ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasOperation_t right = s.a_across ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasStatus_t status =
        cublasLtMatmulDescCreate(&p->product, codes ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F,
                                 codes ? CUDA_R_32I : CUDA_R_32F);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    (void)cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_POINTER_MODE, &pointers,
                                         sizeof pointers);
    (void)cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSA, &left,
                                         sizeof left);
    return cublasLtMatmulDescSetAttribute(p->product, CUBLASLT_MATMUL_DESC_TRANSB, &right,
                                          sizeof right);
}

static cublasStatus_t describe_operands(plan *p)
{
    const shape &s = p->key;
    cudaDataType_t type = type_of(s.dtype);
    cudaDataType_t result = s.dtype == BN_I8 ? CUDA_R_32I : type_of(s.out);
    cublasStatus_t status =
        s.b_across ? describe(&p->left, type, s.n, s.k) : describe(&p->left, type, s.k, s.n);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = s.a_across ? describe(&p->right, type, s.k, s.m) : describe(&p->right, type, s.m, s.k);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    return describe(&p->result, result, s.m, s.n);
}

/* The heuristic's first choice among kernels that take operands aligned like these. Where the
 * result has 16 bits, parts of a sum that is split stay wider: the sum is rounded once. */
static const char *choose(const bn_gemm_library *library, plan *p)
{
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulHeuristicResult_t result = {};
    size_t workspace_bytes = BN_GEMM_WORKSPACE_BYTES;
    uint32_t reductions = p->key.out == BN_F32 ? CUBLASLT_REDUCTION_SCHEME_MASK
                                               : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    uint32_t left = p->key.b_alignment, right = p->key.a_alignment, out = p->key.c_alignment;
    int found = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (status != CUBLAS_STATUS_SUCCESS) return words(status);
    (void)cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &workspace_bytes, sizeof workspace_bytes);
    (void)cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &left, sizeof left);
    (void)cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &right, sizeof right);
    (void)cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out, sizeof out);
    (void)cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out, sizeof out);
    (void)cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
    status = cublasLtMatmulAlgoGetHeuristic(library->handle, p->product, p->left, p->right,
                                            p->result, p->result, preference, 1, &result, &found);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS && found == 0) return "cublasLt has no kernel for it";
    p->algorithm = result.algo;
    return words(status);
}

/* The plan of a product's shape, made when it is first asked for. Tables of a sweep's networks fit;
 * when one does not, the oldest shape gives way. */
static const char *plan_of(bn_gemm_library *library, const bn_gemm *product, plan **out)
{
    shape key = {.dtype = product->dtype,
                 .out = product->dtype == BN_I8 ? BN_F32 : product->out,
                 .m = product->m,
                 .n = product->n,
                 .k = product->k,
                 .a_across = product->a_across,
                 .b_across = product->b_across,
                 .has_alpha = product->alpha != nullptr,
                 .has_add = product->add != nullptr,
                 .a_alignment = alignment_of(product->a),
                 .b_alignment = alignment_of(product->b),
                 .c_alignment = alignment_of(product->c) < alignment_of(product->add)
                                    ? alignment_of(product->c)
                                    : alignment_of(product->add)};
    for (int i = 0; i < library->count; i++) {
        *out = &library->plans[i];
        if (same(library->plans[i].key, key)) return nullptr;
    }
    if (library->count == SHAPES_MAX) {
        release(&library->plans[0]);
        library->plans[0] = library->plans[--library->count];
    }
    plan fresh = {};
    fresh.key = key;
    const char *why = words(describe_product(&fresh));
    if (!why) why = words(describe_operands(&fresh));
    if (!why) why = choose(library, &fresh);
    if (why) {
        release(&fresh);
        return why;
    }
    library->plans[library->count] = fresh;
    *out = &library->plans[library->count++];
    return nullptr;
}

const char *bn_gemm_run(bn_gemm_library *library, const bn_gemm *product)
{
    static const float one = 1, zero = 0;
    static const int32_t whole_one = 1, whole_zero = 0;
    plan *p = nullptr;
    const char *why = plan_of(library, product, &p);
    if (why) return why;
    const void *alpha = product->dtype == BN_I8 ? static_cast<const void *>(&whole_one) : &one;
    const void *beta = product->dtype == BN_I8 ? static_cast<const void *>(&whole_zero)
                                               : (product->add ? &one : &zero);
    if (product->alpha) {
        alpha = product->alpha;
        beta = library->constants + (product->add ? 1 : 0);
    }
    const void *add = product->add ? product->add : product->c;
    return words(cublasLtMatmul(library->handle, p->product, alpha, product->b, p->left, product->a,
                                p->right, beta, add, p->result, product->c, p->result,
                                &p->algorithm, library->workspace, BN_GEMM_WORKSPACE_BYTES,
                                static_cast<cudaStream_t>(library->runtime->stream)));
}
