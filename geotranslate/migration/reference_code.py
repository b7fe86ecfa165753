"""The options of pytorch-CycleGAN-and-pix2pix's train and test scripts, and what to give here."""

from __future__ import annotations

from geotranslate.migration.keyword import Keyword, Table

_NETWORK = (
    Keyword("model", advice="use Pix2Pix or CycleGAN"),
    Keyword("input_nc", advice="leave it out; the bands of the source are counted"),
    Keyword("output_nc", advice="leave it out; the bands of the target are counted"),
    Keyword("ngf", "ngf"),
    Keyword("ndf", "ndf"),
    Keyword("n_layers_D", "n_layers"),
    Keyword("norm", "norm"),
    Keyword("no_dropout", advice="give dropout=0"),
    Keyword("init_type", advice="leave it out; weights are drawn from a normal distribution"),
    Keyword("init_gain", "init_gain"),
)

REFERENCE: Table = {
    "prepare_data": (
        Keyword("dataroot", "path"),
        Keyword("dataset_mode", advice="leave it out, or give paired=True or paired=False"),
        Keyword("direction", "direction"),
        Keyword("num_threads", "num_workers"),
        Keyword("batch_size", "batch_size"),
        Keyword("load_size", "resize_to"),
        Keyword("crop_size", "chip_size"),
        Keyword(
            "preprocess",
            advice="give resize_to for resize, chip_size for crop, neither for none",
        ),
        Keyword("no_flip", advice="give transforms=False"),
        Keyword("serial_batches", advice="leave it out; training batches are always shuffled"),
        Keyword("max_dataset_size", advice="give a folder of fewer chips"),
        Keyword("phase", advice="give which='test' to compute_metrics and show_results"),
        Keyword("gpu_ids", "device", "give device='cuda:1' for 1, device='cpu' for -1"),
    ),
    "Pix2Pix": (
        *_NETWORK,
        Keyword(
            "netG",
            "generator",
            "give generator='unet' for unet_256 and unet_128, 'resnet9' for resnet_9blocks or "
            "'resnet6' for resnet_6blocks; recipe='paper' is the whole setup",
        ),
        Keyword(
            "netD",
            "n_layers",
            "give n_layers=3 for basic, n_layers for n_layers, or n_layers=0 for pixel",
        ),
        Keyword("gan_mode", "gan_mode"),
        Keyword("lambda_L1", "lambda_l1"),
        Keyword("pool_size", advice="leave it out; only a CycleGAN has a pool"),
    ),
    "CycleGAN": (
        *_NETWORK,
        Keyword("netG", "gen_blocks", "give gen_blocks=9 or gen_blocks=6"),
        Keyword("netD", "n_layers", "give n_layers=3 for basic, or n_layers=0 for pixel"),
        Keyword("gan_mode", "gan_mode"),
        Keyword("lambda_A", "lambda_cycle", "give lambda_cycle, which weights both cycles"),
        Keyword("lambda_B", "lambda_cycle", "give lambda_cycle, which weights both cycles"),
        Keyword("lambda_identity", "lambda_identity"),
        Keyword("pool_size", "pool_size"),
    ),
    "fit": (
        Keyword("n_epochs", "epochs", "give epochs=n_epochs + n_epochs_decay"),
        Keyword(
            "n_epochs_decay",
            "decay_epochs",
            "give decay_epochs, with schedule='linear_decay' and epochs=n_epochs + n_epochs_decay",
        ),
        Keyword("lr", "lr"),
        Keyword("beta1", "betas", "give betas=(beta1, 0.999)"),
        Keyword(
            "lr_policy",
            "schedule",
            "give schedule='linear_decay' for linear, schedule='step' or schedule='cosine'; for "
            "plateau, give a callback",
        ),
        Keyword("lr_decay_iters", "decay_epochs", "give decay_epochs, with schedule='step'"),
        Keyword("save_epoch_freq", "checkpoint", "give checkpoint=n for the model of every n-th"),
        Keyword("continue_train", "resume", "give resume=True"),
        Keyword("epoch_count", advice="leave it out; resume=True knows the epoch"),
        Keyword("checkpoints_dir", "folder"),
        Keyword("name", "folder"),
        Keyword("suffix", advice="give folder the name that you want"),
        Keyword("display_freq", "sample_every", "give sample_every, in epochs"),
        Keyword("update_html_freq", "sample_every", "give sample_every, in epochs"),
        Keyword("no_html", advice="give sample_every=0"),
        Keyword("use_wandb", "wandb", "give wandb=True"),
        Keyword("wandb_project_name", advice="begin the run by wandb.init(project=...) before fit"),
        Keyword("print_freq", "log_every", "give log_every, in steps; every epoch has a row"),
        Keyword("save_latest_freq", advice="leave it out; the last epoch is always kept"),
        Keyword("save_by_iter", advice="leave it out; models are saved after epochs"),
        Keyword("verbose", advice="print the model"),
        Keyword("display_winsize", advice="leave it out; pictures have the size of the chips"),
    ),
    "predict_raster": (
        Keyword("dataroot", "path", "give path, a raster, or a folder or list of them"),
        Keyword("results_dir", "output"),
        Keyword("num_test", advice="give the list of scenes to translate"),
        Keyword("eval", advice="give norm_stats='running' as with --eval, or 'tile' as without"),
        Keyword("aspect_ratio", advice="leave it out; outputs lie on the source's grid"),
        Keyword("load_size", advice="leave it out; scenes of any size are translated in tiles"),
        Keyword("crop_size", "tile_size"),
    ),
    "load_model": (
        Keyword("checkpoints_dir", "path"),
        Keyword("name", "path"),
        Keyword("epoch", "path", "give path, such as training/epoch_0050 or training/best"),
        Keyword("load_iter", "path", "give path, such as training/epoch_0050 or training/best"),
        Keyword("gpu_ids", "device", "give device='cuda:1' for 1, device='cpu' for -1"),
        Keyword("model_suffix", advice="leave it out; a folder holds one model"),
    ),
}
"""Options of the scripts by the function of geotranslate that replaces theirs."""
