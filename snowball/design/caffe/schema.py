"""What may stand in a layer: the messages of Caffe's published text format, by name, with their defaults.

Read from a table: a message's name, then its fields as `name type=default`. A `*` is a field that may be repeated; a
type that is none of int, float, bool, text is a message or an enumeration below. SSD's, PSPNet's and ShuffleNet's
additions, which OpenCV reads too, are among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

__all__ = ["DATA_LAYERS", "ENUMS", "V0_TYPES", "V1_TYPES", "Field", "layer_parameters", "messages"]


@dataclass(frozen=True)
class Field:
    """A field of a message: its type, whether it may be repeated, and what it is where it is not said."""

    type: str
    repeated: bool
    default: str | None


ENUMS: dict[str, tuple[str, ...]] = {
    "Phase": ("TRAIN", "TEST"),
    "PoolMethod": ("MAX", "AVE", "STOCHASTIC"),
    "RoundMode": ("CEIL", "FLOOR"),
    "EltwiseOp": ("PROD", "SUM", "MAX"),
    "NormRegion": ("ACROSS_CHANNELS", "WITHIN_CHANNEL"),
    "ReductionOp": ("SUM", "ASUM", "SUMSQ", "MEAN"),
    "Norm": ("L1", "L2"),
    "Normalization": ("FULL", "VALID", "BATCH_SIZE", "NONE"),
    "CodeType": ("CORNER", "CENTER_SIZE", "CORNER_SIZE"),
    "VarianceNorm": ("FAN_IN", "FAN_OUT", "AVERAGE"),
    "Engine": ("DEFAULT", "CAFFE", "CUDNN", "MKL2017", "MKLDNN"),
}

_TABLE = """
Shape: *dim int
Filler: type text=constant, value float=0, min float=0, max float=1, mean float=0, std float=1, sparse int=-1,
  variance_norm VarianceNorm=FAN_IN
Rule: phase Phase, min_level int, max_level int, *stage text, *not_stage text
ParamSpec: name text, share_mode text, lr_mult float=1, decay_mult float=1
Transform: scale float=1, mirror bool=false, crop_size int=0, mean_file text, *mean_value float, force_color bool,
  force_gray bool
Loss: ignore_label int, normalization Normalization, normalize bool
accuracy_param: top_k int=1, axis int=1, ignore_label int
argmax_param: out_max_val bool=false, top_k int=1, axis int
batch_norm_param: use_global_stats bool, moving_average_fraction float=0.999, eps float=0.00001
bias_param: axis int=1, num_axes int=1, filler Filler
clip_param: min float=0, max float=0
concat_param: axis int=1, concat_dim int
contrastive_loss_param: margin float=1, legacy_version bool=false
convolution_param: num_output int=0, bias_term bool=true, *pad int, *kernel_size int, *stride int, *dilation int,
  pad_h int=0, pad_w int=0, kernel_h int, kernel_w int, stride_h int, stride_w int, group int=1, weight_filler Filler,
  bias_filler Filler, engine Engine, axis int=1, force_nd_im2col bool=false
crop_param: axis int=2, *offset int
data_param: source text, batch_size int=1, rand_skip int, backend text, scale float=1, mean_file text, crop_size int=0,
  mirror bool=false, force_encoded_color bool, prefetch int
detection_output_param: num_classes int=0, share_location bool=true, background_label_id int=0, nms_param Nms,
  code_type CodeType=CORNER, variance_encoded_in_target bool=false, keep_top_k int=-1, confidence_threshold float,
  save_output_param SaveOutput, visualize bool, visualize_threshold float, save_file text
Nms: nms_threshold float=0.3, top_k int, eta float=1
SaveOutput: output_directory text, output_name_prefix text, output_format text, label_map_file text,
  name_size_file text, num_test_image int
dropout_param: dropout_ratio float=0.5, scale_train bool=true
dummy_data_param: *data_filler Filler, *shape Shape, *num int, *channels int, *height int, *width int
eltwise_param: operation EltwiseOp=SUM, *coeff float, stable_prod_grad bool=true
elu_param: alpha float=1
embed_param: num_output int=0, input_dim int=0, bias_term bool=true, weight_filler Filler, bias_filler Filler
exp_param: base float=-1, scale float=1, shift float=0
flatten_param: axis int=1, end_axis int=-1
hdf5_data_param: source text, batch_size int=1, shuffle bool
hdf5_output_param: file_name text
hinge_loss_param: norm Norm=L1
image_data_param: source text, batch_size int=1, rand_skip int, shuffle bool, new_height int=0, new_width int=0,
  is_color bool=true, scale float=1, mean_file text, crop_size int=0, mirror bool, root_folder text
inner_product_param: num_output int=0, bias_term bool=true, weight_filler Filler, bias_filler Filler, axis int=1,
  transpose bool=false
input_param: *shape Shape
interp_param: height int=0, width int=0, zoom_factor int=1, shrink_factor int=1, pad_beg int=0, pad_end int=0
log_param: base float=-1, scale float=1, shift float=0
lrn_param: local_size int=5, alpha float=1, beta float=0.75, norm_region NormRegion=ACROSS_CHANNELS, k float=1,
  engine Engine
memory_data_param: batch_size int=1, channels int, height int, width int
mvn_param: normalize_variance bool=true, across_channels bool=false, eps float=0.000000001
norm_param: across_spatial bool=true, scale_filler Filler, channel_shared bool=true, eps float=0.0000000001
permute_param: *order int
pooling_param: pool PoolMethod=MAX, pad int=0, pad_h int=0, pad_w int=0, kernel_size int, kernel_h int, kernel_w int,
  stride int=1, stride_h int, stride_w int, engine Engine, global_pooling bool=false, round_mode RoundMode=CEIL,
  ceil_mode bool=true
power_param: power float=1, scale float=1, shift float=0
prelu_param: filler Filler, channel_shared bool=false
prior_box_param: *min_size float, *max_size float, *aspect_ratio float, flip bool=true, clip bool=false,
  *variance float, img_size int, img_h int, img_w int, step float, step_h float, step_w float, offset float=0.5
recurrent_param: num_output int=0, weight_filler Filler, bias_filler Filler, debug_info bool, expose_hidden bool=false
reduction_param: operation ReductionOp=SUM, axis int=0, coeff float=1
relu_param: negative_slope float=0, engine Engine
reshape_param: shape Shape, axis int=0, num_axes int=-1
roi_pooling_param: pooled_h int=0, pooled_w int=0, spatial_scale float=1
scale_param: axis int=1, num_axes int=1, filler Filler, bias_term bool=false, bias_filler Filler
shuffle_channel_param: group int=1
sigmoid_param: engine Engine
slice_param: axis int=1, *slice_point int, slice_dim int
softmax_param: engine Engine, axis int=1
swish_param: beta float=1
tanh_param: engine Engine
threshold_param: threshold float=0
tile_param: axis int=1, tiles int
upsample_param: scale int=2
window_data_param: source text, scale float=1, mean_file text, batch_size int=1, crop_size int=0, mirror bool,
  fg_threshold float, bg_threshold float, fg_fraction float, context_pad int, crop_mode text, cache_images bool,
  root_folder text
Layer: name text, type text, *bottom text, *top text, phase Phase, *loss_weight float, *param ParamSpec,
  *propagate_down bool, *include Rule, *exclude Rule, transform_param Transform, loss_param Loss
LayerV1: name text, type text, *bottom text, *top text, *loss_weight float, *param text, *blob_share_mode text,
  *blobs_lr float, *weight_decay float, *include Rule, *exclude Rule, transform_param Transform, loss_param Loss,
  layer LayerV0
LayerV0: name text, type text, num_output int=0, biasterm bool=true, weight_filler Filler, bias_filler Filler,
  pad int=0, kernelsize int=0, group int=1, stride int=1, pool PoolMethod=MAX, dropout_ratio float=0.5,
  local_size int=5, alpha float=1, beta float=0.75, k float=1, source text, scale float=1, meanfile text,
  batchsize int=1, cropsize int=0, mirror bool=false, *blobs_lr float, *weight_decay float, rand_skip int,
  concat_dim int=1, new_num int=0, new_channels int=0, new_height int=0, new_width int=0, shuffle_images bool
Net: name text, *input text, *input_shape Shape, *input_dim int, force_backward bool, state State, debug_info bool,
  *layers LayerV1, *layer Layer
State: phase Phase, level int=0, *stage text
"""

# Layers that bring data into a net: their tops are its inputs.
DATA_LAYERS = frozenset(
    ("Input", "Data", "ImageData", "HDF5Data", "MemoryData", "WindowData", "DummyData", "AnnotatedData", "VideoData")
)

V1_TYPES: dict[str, str] = {
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "ELTWISE": "Eltwise",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "SLICE": "Slice",
    "TANH": "TanH",
    "WINDOW_DATA": "WindowData",
    "THRESHOLD": "Threshold",
}

V0_TYPES: dict[str, str] = {
    "accuracy": "Accuracy",
    "bnll": "BNLL",
    "concat": "Concat",
    "conv": "Convolution",
    "data": "Data",
    "dropout": "Dropout",
    "euclidean_loss": "EuclideanLoss",
    "flatten": "Flatten",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "im2col": "Im2col",
    "images": "ImageData",
    "infogain_loss": "InfogainLoss",
    "innerproduct": "InnerProduct",
    "lrn": "LRN",
    "multinomial_loss": "MultinomialLogisticLoss",
    "padding": "padding",  # merged into the convolution behind it
    "pool": "Pooling",
    "relu": "ReLU",
    "sigmoid": "Sigmoid",
    "softmax": "Softmax",
    "softmax_loss": "SoftmaxWithLoss",
    "split": "Split",
    "tanh": "TanH",
    "window_data": "WindowData",
}


@cache
def messages() -> dict[str, dict[str, Field]]:
    """Message -> field -> what it is; `foo_param` is the message of the layer's field of that name."""
    found: dict[str, dict[str, Field]] = {}
    for line in _TABLE.strip().replace("\n  ", " ").splitlines():
        message, _, listed = line.partition(": ")
        found[message] = {}
        for part in listed.split(", "):
            name, kind = part.split(" ")
            kind, _, default = kind.partition("=")
            found[message][name.removeprefix("*")] = Field(kind, name.startswith("*"), default or None)
    own = {name: Field(name, False, None) for name in found if name.endswith("_param")}
    for generation in ("Layer", "LayerV1"):
        found[generation] |= own
    return found


def layer_parameters() -> frozenset[str]:
    """The fields of a layer that hold parameters of its type, such as `convolution_param`."""
    return frozenset(name for name in messages()["Layer"] if name.endswith("_param"))
